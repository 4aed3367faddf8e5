//! Many calls at once, half of them bad: every one is answered once, and nothing is left over.

use std::collections::BTreeMap;

use greenroom_actors::{
    ErrorKind,
    spec::{PoolSpec, Sizing},
};

use crate::tree::{Gate, lab, metrics, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_over_eight_functions_have_a_thousand_answers_and_leave_nothing() {
    let metrics = metrics();
    let idle_timeout = std::time::Duration::from_millis(100);
    let lazy = || PoolSpec::new(Sizing::Lazy { max_size: 6, idle_timeout });
    let adaptive = || PoolSpec::new(Sizing::Adaptive { max_size: 6, warm_start: false, idle_timeout });
    let functions = [
        lab("load:a", "add", PoolSpec::inline().with_buffer(1_000)),
        lab("load:b", "trap", lazy().with_buffer(1_000)),
        lab("load:c", "add", PoolSpec::fixed(2, 4)),
        within(lab("load:d", "spin", adaptive().with_buffer(1_000)), 20),
        lab("load:e", "add", adaptive()),
        lab("load:f", "divide", PoolSpec::fixed(3, 3)),
        lab("load:g", "add", lazy()),
        within(lab("load:h", "spin", PoolSpec::fixed(4, 4).with_buffer(1_000)), 20),
    ];
    let kept = 4 + 3 + 4;
    let runtime = Gate::new().builder("overload").functions(functions).start().await.unwrap();
    let calls: Vec<_> = (0..1_000)
        .map(|n| {
            let runtime = runtime.clone();
            tokio::spawn(async move {
                let id = format!("load:{}", char::from(b"abcdefgh"[n % 8]));
                let answer = match n % 8 {
                    1 | 3 | 7 => runtime.call::<()>(&id, ()).await.map(|()| 0),
                    5 => runtime.call::<i32>(&id, (1, 0)).await,
                    _ => runtime.call::<i32>(&id, (20, 22)).await,
                };
                (n % 8, answer)
            })
        })
        .collect();
    let mut outcomes = BTreeMap::<_, usize>::new();
    for call in calls {
        let (function, answer) = call.await.unwrap();
        let outcome = match answer {
            Ok(answer) => {
                assert_eq!(answer, 42);
                "ok"
            }
            Err(error) => error.kind().name(),
        };
        *outcomes.entry((function, outcome)).or_default() += 1;
    }
    let expected =
        [(0, "ok"), (1, "internal"), (2, "ok"), (3, "timeout"), (4, "ok"), (5, "internal"), (6, "ok"), (7, "timeout")];
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), expected.map(|key| (key, 125)).to_vec());
    for (function, outcome) in
        ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().zip(expected.map(|(_, outcome)| outcome))
    {
        let labels = [("function", &*format!("load:{function}")), ("outcome", outcome)];
        assert_eq!(metrics.value("greenroom_calls_total", &labels), 125.0, "{labels:?}");
    }
    until("only what static pools keep is left", || runtime.instances_available() == 300 - kept).await;
    for (function, workers) in
        [("a", 1.0), ("b", 0.0), ("c", 2.0), ("d", 0.0), ("e", 0.0), ("f", 3.0), ("g", 0.0), ("h", 4.0)]
    {
        let id = format!("load:{function}");
        until("idle workers have gone", || metrics.workers(&id) == workers && metrics.instances(&id, "running") == 0.0)
            .await;
    }
    assert_eq!(runtime.call::<i32>("load:a", (1, 1)).await.unwrap(), 2);
    assert!(runtime.shutdown(std::time::Duration::from_secs(60)).await);
    until("nothing is left", || runtime.instances_available() == 300).await;
    assert_eq!(runtime.call::<i32>("load:a", (1, 1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}
