//! `ratelimit`: how many requests each client may make. governor decides, by GCRA; the clients it knows are kept here, in
//! memory that does not grow.

use std::{
    future::ready,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::Either;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    nanos::Nanos,
    state::StateStore,
};
use http::{Request, StatusCode, header::RETRY_AFTER};
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{BadOption, Stack};
use crate::{
    http::{
        identity::Client,
        problem::Problem,
        service::{Routed, refusal},
    },
    registry::http::{RateLimitKey, RateLimitSpec},
};

/// Clients that a router with a rate limit tells apart. Of more, those that have been quiet for longest are forgotten, and
/// may do as if they were new.
pub const KEYS_MAX: usize = SETS * WAYS;

const SETS: usize = 8192;
const WAYS: usize = 8;

pub(super) fn around(inside: Stack, spec: &RateLimitSpec) -> Result<Stack, BadOption> {
    let limits = Arc::new(Limits::new(spec)?);
    Ok(BoxCloneSyncService::new(service_fn(move |request: Request<Routed>| match limits.admit(&request) {
        Ok(()) => Either::Left(inside.clone().oneshot(request)),
        Err(problem) => Either::Right(ready(Ok(refusal(&request.body().site, problem)))),
    })))
}

struct Limits {
    limiter: RateLimiter<u64, Keys, DefaultClock>,
    clock: DefaultClock,
    key: RateLimitKey,
    /// Secret, so that nobody can choose to be taken for another.
    hash: RandomState,
}

impl Limits {
    fn new(spec: &RateLimitSpec) -> Result<Self, BadOption> {
        let bad = |field, message| BadOption { field, message };
        let burst = NonZeroU32::new(spec.burst).ok_or(bad("options.ratelimit.burst", "it must be 1 or more"))?;
        if spec.requests == 0 {
            return Err(bad("options.ratelimit.requests", "it must be 1 or more"));
        }
        let quota = Quota::with_period(spec.window / spec.requests)
            .ok_or(bad("options.ratelimit.window", "it is shorter than a nanosecond for each request"))?
            .allow_burst(burst);
        let clock = DefaultClock::default();
        let limiter = RateLimiter::new(quota, Keys::default(), clock.clone());
        Ok(Self { limiter, clock, key: spec.key.clone(), hash: RandomState::new() })
    }

    fn admit(&self, request: &Request<Routed>) -> Result<(), Problem> {
        self.limiter.check_key(&self.key(request)).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let mut problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("too many requests; the next is welcome in {seconds} s"),
            );
            problem.headers.push((RETRY_AFTER, seconds.into()));
            problem
        })
    }

    /// Who sent a request, as a number.
    fn key(&self, request: &Request<Routed>) -> u64 {
        let header = match &self.key {
            RateLimitKey::Ip => None,
            RateLimitKey::Header(name) => request.headers().get(name),
        };
        match header {
            Some(value) => self.hash.hash_one((1, value.as_bytes())),
            None => {
                let client = request.extensions().get().map(|client: &Client| network(client.ip));
                self.hash.hash_one((0, client))
            }
        }
    }
}

/// The network that one client has for itself: of IPv6, whoever has one address has 2^64.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// What is known of clients, in sets of a few. A new one takes the place of the one in its set whose quota is full again
/// soonest.
struct Keys(Box<[Mutex<[Option<Known>; WAYS]>]>);

#[derive(Clone, Copy)]
struct Known {
    key: u64,
    /// When its quota is full again, in nanoseconds of the limiter's life.
    full_at: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Self((0..SETS).map(|_| Mutex::new([None; WAYS])).collect())
    }
}

impl StateStore for Keys {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let set = &self.0[(key % SETS as u64) as usize];
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|known| known.is_some_and(|known| known.key == *key));
        let before = known.and_then(|place| set[place]).map(|known| Nanos::new(known.full_at));
        let (outcome, full_at) = decide(before)?;
        let quietest = || (0..WAYS).min_by_key(|place| set[*place].map_or(0, |known| known.full_at));
        if let Some(place) = known.or_else(quietest) {
            set[place] = Some(Known { key: *key, full_at: full_at.as_u64() });
        }
        Ok(outcome)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn many_clients_take_no_more_memory_and_leave_those_alone_who_are_over_their_limit() {
        let spec = RateLimitSpec { requests: 1, window: Duration::from_secs(1000), burst: 2, key: RateLimitKey::Ip };
        let limits = Limits::new(&spec).unwrap();
        let check = |key: u64| limits.limiter.check_key(&key).is_ok();
        assert!(check(1) && check(1) && !check(1));
        // One of the same set comes after the other, each once.
        for other in 1..100 {
            assert!(check(1 + other * SETS as u64));
        }
        assert!(!check(1));
        let kept = limits.limiter.into_state_store().0.iter().flat_map(|set| *set.lock().unwrap()).flatten().count();
        assert_eq!(kept, WAYS);
    }

    #[test]
    fn whoever_has_one_address_of_ipv6_has_its_network() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
