//! A service of your own that has Greenroom's functions below it in its supervision tree, and goes on when a guest traps.
//!
//! ```sh
//! cargo run --example embedded_service
//! ```
#![allow(clippy::print_stdout, reason = "what an example shows, it prints")]

use std::time::Duration;

use greenroom::{
    Answer, CallError, CallMessage, ErrorKind, Payload, Runtime,
    ractor::{self, Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, call_t},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

/// The supervisor: an actor that has Greenroom's tree for a child.
struct Service;

/// What the service is asked to do: divide one number by another, and tell whoever asked.
struct Divide {
    by: [i32; 2],
    reply: RpcReplyPort<Result<Answer, CallError>>,
}

impl Actor for Service {
    type Msg = Divide;
    type State = Runtime;
    /// The registry's folder.
    type Arguments = String;

    async fn pre_start(&self, myself: ActorRef<Divide>, registry: String) -> Result<Runtime, ActorProcessingErr> {
        // The names of dispatchers begin with `greenroom` unless the builder says otherwise.
        Ok(Runtime::builder().registry(registry).only(["limits:divide"]).start_linked(myself.get_cell()).await?)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Divide>,
        Divide { by: [dividend, divisor], reply }: Divide,
        _runtime: &mut Runtime,
    ) -> Result<(), ActorProcessingErr> {
        // Looked up for each call: a dispatcher that was started again is another actor.
        let Some(dispatcher) = ractor::registry::where_is("greenroom/limits:divide") else {
            let error = CallError::new(ErrorKind::NotFound, "there is no function `limits:divide`");
            // Whoever asked and went away needs no answer.
            drop(reply.send(Err(error)));
            return Ok(());
        };
        // The port goes along, so that the answer goes straight to whoever asked, and nothing waits here. A dispatcher that
        // ends at this very moment answers `unavailable`.
        let args = Payload::Json(vec![json!(dividend), json!(divisor)]);
        drop(ActorRef::<CallMessage>::from(dispatcher).cast(CallMessage::call(args, reply)));
        Ok(())
    }

    /// Each event has its own answer. The default one of ractor would end the service with any child.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Divide>,
        event: SupervisionEvent,
        _runtime: &mut Runtime,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(child) => println!("below the service: {}", name(&child)),
            // Greenroom mends what dies within its tree; its root ends when it is told to, or when nothing can be mended.
            // This service is of no use without it, and leaves the rest to a supervisor of its own.
            SupervisionEvent::ActorTerminated(child, _, why) => {
                println!("{} ended: {}", name(&child), why.as_deref().unwrap_or("it was stopped"));
                myself.stop(None);
            }
            SupervisionEvent::ActorFailed(child, error) => {
                println!("{} failed: {error}", name(&child));
                return Err(error);
            }
            // This service watches no group.
            SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<Divide>, runtime: &mut Runtime) -> Result<(), ActorProcessingErr> {
        let finished = runtime.shutdown(Duration::from_secs(10)).await;
        println!("the functions have ended; every call had finished: {finished}");
        Ok(())
    }
}

fn name(actor: &ractor::ActorCell) -> String {
    actor.get_name().unwrap_or_else(|| actor.get_id().to_string())
}

/// Runs the service on the functions of a registry.
async fn run(registry: &str) -> anyhow::Result<()> {
    // The library installs no recorder: whoever owns the process chooses one, before the runtime starts.
    let metrics = PrometheusBuilder::new().install_recorder()?;
    greenroom::describe_metrics();

    let (service, ended) = Actor::spawn(Some("service".to_owned()), Service, registry.to_owned()).await?;
    // The second call traps. It fails alone: the third has a fresh instance.
    for by in [[84, 2], [1, 0], [-6, 3]] {
        let answer = call_t!(service, |reply| Divide { by, reply }, 10_000)?;
        match answer {
            Ok(Answer::Val(val)) => println!("{by:?}: {}", greenroom::wasm::decode::<i32>(val.as_ref())?),
            Ok(Answer::Json(value)) => println!("{by:?}: {value}"),
            Ok(Answer::Http) => println!("{by:?}: a response, which nobody asked for"),
            Err(error) => println!("{by:?}: {}: {error}", error.kind()),
        }
    }
    service.stop(None);
    ended.await?;

    println!("\n{}", metrics.render());
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let registry = concat!(env!("CARGO_MANIFEST_DIR"), "/registry-examples/limits");
    run(registry).await
}
