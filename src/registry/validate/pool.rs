//! The `pool` of a function: which type it is, which fields that type has, and how its numbers fit together.

use greenroom_actors::spec::{OnFull, PoolKind, PoolSpec, PoolSpecError, Sizing};

use super::{
    super::{
        check::{self, place},
        document::Value,
        kinds,
        path::FieldPath,
    },
    Reader,
};

impl Reader<'_> {
    /// The pool, and how many calls one instance serves.
    pub(super) fn pool(&mut self) -> Option<(PoolSpec, u32)> {
        let Some(pair) = self.node.pair("pool") else { return Some((PoolSpec::default(), 1)) };
        let node = &pair.value;
        if !matches!(node.value, Value::Map(_)) {
            return None;
        }
        let path = FieldPath::Field(&FieldPath::Root, "pool");
        let given = node.pair("type");
        let kind = match given {
            Some(given) => {
                let text = given.value.text()?;
                kinds::POOL_KINDS.into_iter().find(|kind| kind.name() == text)?
            }
            None if node.get("workers").is_some() || node.get("size").is_some() => PoolKind::Static,
            None => PoolKind::Lazy,
        };
        let allowed = kinds::pool_fields(kind);
        for pair in node.pairs() {
            let known = kinds::POOL_FIELDS.iter().any(|field| field.name == pair.key);
            if !known || allowed.contains(&pair.key.as_str()) {
                continue;
            }
            let article = if matches!(kind, PoolKind::Inline | PoolKind::Adaptive) { "an" } else { "a" };
            let message = format!("{article} {kind} pool has no `{}`", pair.key);
            let having =
                kinds::POOL_KINDS.into_iter().filter(|kind| kinds::pool_fields(kind.to_owned()).contains(&&*pair.key));
            let having: Vec<_> = having.map(PoolKind::name).collect();
            let error = self.scope.error(pair.key_span.clone(), FieldPath::Field(&path, &pair.key), message);
            error.label(format!("only for type {}", check::alternatives(&having, "")));
            if given.is_none() {
                error.help(format!("without `type`, this pool is {kind}"));
            }
            error.help(format!("the fields of {article} {kind} pool are {}", allowed.join(", ")));
        }
        let number = |field: &str| node.get(field).and_then(|node| usize::try_from(node.count()?).ok());
        let flag = |field: &str| node.get(field).and_then(|node| node.flag()).unwrap_or(false);
        let idle_timeout = match node.get("idle_timeout") {
            Some(node) => check::duration(node).ok()?,
            None => PoolSpec::IDLE_TIMEOUT_DEFAULT,
        };
        let max_size = number("max_size").unwrap_or(PoolSpec::MAX_SIZE_DEFAULT);
        let sizing = match kind {
            PoolKind::Inline => Sizing::Inline,
            PoolKind::Lazy => Sizing::Lazy { max_size, idle_timeout },
            PoolKind::Adaptive => Sizing::Adaptive { max_size, warm_start: flag("warm_start"), idle_timeout },
            PoolKind::Static => {
                let (workers, size) = (number("workers"), number("size"));
                let workers = workers.or(size).unwrap_or(PoolSpec::STATIC_SIZE_DEFAULT);
                Sizing::Static { workers, size: size.unwrap_or(workers) }
            }
        };
        let mut pool = PoolSpec::new(sizing);
        if let Some(buffer) = number("buffer") {
            pool = pool.with_buffer(buffer);
        }
        if node.get("on_full").and_then(|node| node.text()) == Some("wait") {
            pool.on_full = OnFull::Wait;
        }
        if let Err(error @ PoolSpecError::SizeBelowWorkers { workers, .. }) = pool.validate() {
            let size = node.pair("size").unwrap_or(pair);
            let diagnostic = self.scope.error(place(size), FieldPath::Field(&path, "size"), error.to_string());
            diagnostic.label(format!("must be {workers} or more"));
        }
        let reuse = node.get("reuse").map_or(Some(1), |node| u32::try_from(node.count()?).ok())?;
        Some((pool, reuse))
    }
}
