//! Texts with a form of their own: addresses, methods, headers, numbers that may be quoted. Each is read by the same
//! function when a field is checked and when it is used. Paths are in `form/route.rs`; which field has which form is
//! `kinds`' business.

mod route;

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method, Uri};
use ipnet::IpNet;

pub(super) use route::{MOUNT, PATH, PREFIX, Route, mount, path, prefix};

use super::{check::duration_parts, diagnostic::closest, http::RateLimitKey, shape::Form};

const fn form(wanted: &'static str, pattern: &'static str, check: fn(&str) -> Result<(), String>) -> Form {
    Form { wanted, pattern, also: None, check }
}

pub(super) const ADDRESS: Form =
    form("an address: `host:port`, or `:port` for all of this machine's", "[^/ ]*:[0-9]{1,5}", |text| {
        address(text).map(drop)
    });

/// Where to listen: `host:port`.
pub(super) fn address(text: &str) -> Result<String, String> {
    if text.contains("//") {
        return Err("an address has no scheme, such as `http://`, and no path".to_owned());
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Err("the port is missing".to_owned()) };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let Some(port) = port.parse::<u16>().ok().filter(|_| digits) else {
        return Err("a port is a number up to 65535".to_owned());
    };
    let host = match host.strip_prefix('[') {
        Some(inside) => match inside.strip_suffix(']').and_then(|inside| inside.parse::<Ipv6Addr>().ok()) {
            Some(address) => format!("[{address}]"),
            None => return Err("no IPv6 address is in the brackets".to_owned()),
        },
        None if host.is_empty() => "0.0.0.0".to_owned(),
        None if host.contains(':') => return Err("an IPv6 address stands in brackets: `[::1]:8080`".to_owned()),
        None if host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) => host.to_owned(),
        None => return Err("no such host can be".to_owned()),
    };
    Ok(format!("{host}:{port}"))
}

pub(super) const TLS_MODE: Form = form("`manual`", "manual", |text| match text {
    "manual" => Ok(()),
    "auto" | "acme" | "letsencrypt" => {
        Err("automatic certificates are not served here: give `cert` and `key`".to_owned())
    }
    _ => Err("the only mode is `manual`".to_owned()),
});

pub(super) const METHOD: Form =
    form("a method, such as `GET`, or `ANY`", r"\*|[A-Za-z0-9!#$%&'*+.^_`|~-]+", |text| method(text).map(drop));

/// A method; `None` is any.
pub(super) fn method(text: &str) -> Result<Option<Method>, String> {
    let upper = text.to_ascii_uppercase();
    if upper == "*" || upper == "ANY" {
        return Ok(None);
    }
    match Method::from_bytes(upper.as_bytes()) {
        Ok(method) => Ok(Some(method)),
        Err(_) if text.contains([',', ' ', '|', '/']) => {
            Err("one method; write an entry for each, or `ANY`".to_owned())
        }
        Err(_) => Err("no such method can be".to_owned()),
    }
}

pub(super) const CORS_METHOD: Form = form("methods, such as `GET`, or `*`", r"[^\s]+", |text| method(text).map(drop));

pub(super) const ORIGIN: Form =
    form("origins, such as `https://example.com`, or `*`", r"[^\s]+", |text| origin(text).map(drop));

/// Whose pages may call; `None` is everybody's.
pub(super) fn origin(text: &str) -> Result<Option<HeaderValue>, String> {
    if text == "*" {
        return Ok(None);
    }
    if text.contains('*') {
        return Err("`*` stands alone; list each origin".to_owned());
    }
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some() && uri.authority().is_some());
    let Some(uri) = uri else { return Err("an origin has a scheme: `https://example.com`".to_owned()) };
    if text.ends_with('/') || uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
        return Err("an origin has no path, not even `/` at its end".to_owned());
    }
    // Browsers send schemes and hosts in small letters.
    HeaderValue::from_str(&text.to_ascii_lowercase()).map(Some).map_err(|_| "no header can hold it".to_owned())
}

pub(super) const CORS_HEADER: Form =
    form("names of headers, such as `Content-Type`, or `*`", r"[^\s]+", |text| match text {
        "*" => Ok(()),
        _ => header(text).map(drop),
    });

pub(super) const HEADER: Form =
    form("names of headers, such as `X-Request-Id`", r"[^\s]+", |text| header(text).map(drop));

/// The name of a header.
pub(super) fn header(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| "no header is called so".to_owned())
}

pub(super) const CACHE: Form =
    form("a value of `Cache-Control`, such as `max-age=3600`", r"[ -~]*[!-~][ -~]*", |text| cache(text).map(drop));

/// A `Cache-Control`.
pub(super) fn cache(text: &str) -> Result<HeaderValue, String> {
    match HeaderValue::from_str(text.trim()) {
        Ok(value) if !value.is_empty() && value.to_str().is_ok() => Ok(value),
        _ => Err("no header can hold it".to_owned()),
    }
}

pub(super) const RATE_KEY: Form = form("`ip`, or `header:NAME`", "ip|header:.+", |text| rate_key(text).map(drop));

/// What tells clients apart.
pub(super) fn rate_key(text: &str) -> Result<RateLimitKey, String> {
    match text.split_once(':') {
        None if text == "ip" => Ok(RateLimitKey::Ip),
        Some(("header", name)) => header(name.trim()).map(RateLimitKey::Header),
        _ => match closest(text, ["ip"]) {
            Some(near) => Err(format!("did you mean `{near}`?")),
            None => Err("clients are told apart by their address or a header".to_owned()),
        },
    }
}

pub(super) const NETWORK: Form = form("networks, such as `10.0.0.0/8`", r"[^\s]+", |text| network(text).map(drop));

/// A network, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network
        .map(|network| network.trunc())
        .map_err(|_| "no network: an address, and `/` with the bits of its net".to_owned())
}

pub(super) const INDEX: Form = Form {
    wanted: "the name of a file, or `false`",
    pattern: r"[^/\\]+",
    also: Some(r#"{ "const": false }"#),
    check: |text| index(text).map(drop),
};

/// The file that stands for a directory; `None` for `false`.
pub(super) fn index(text: &str) -> Result<Option<String>, String> {
    match text {
        "false" => Ok(None),
        "true" => Err("write the name of the file".to_owned()),
        "" | "." | ".." => Err("no file is called so".to_owned()),
        _ if text.contains(['/', '\\', '\0']) => Err("a name, and no path".to_owned()),
        _ => Ok(Some(text.to_owned())),
    }
}

pub(super) const FLAG: Form = Form {
    wanted: "`true` or `false`",
    pattern: "true|false",
    also: Some(r#"{ "type": "boolean" }"#),
    check: |text| flag(text).map(drop),
};

/// `true` or `false`, quoted or not.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.to_ascii_lowercase().parse().map_err(|_| "neither `true` nor `false`".to_owned())
}

pub(super) const REQUESTS: Form = Form {
    wanted: "a whole number from 1 to 4294967295",
    pattern: "0*[1-9][0-9]{0,9}",
    also: Some(r#"{ "type": "integer", "minimum": 1, "maximum": 4294967295 }"#),
    check: |text| requests(text).map(drop),
};

/// How many requests.
pub(super) fn requests(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "not a whole number in bounds".to_owned())
}

pub(super) const LENGTH: Form = Form {
    wanted: "a number of bytes from 0 to 65535",
    pattern: "[0-9]{1,5}",
    also: Some(r#"{ "type": "integer", "minimum": 0, "maximum": 65535 }"#),
    check: |text| length(text).map(drop),
};

/// A number of bytes.
pub(super) fn length(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "not a whole number in bounds".to_owned())
}

pub(super) const MAX_AGE: Form = Form {
    wanted: "a number of seconds, or a duration such as `24h`",
    pattern: "[0-9]+|([0-9.]+(ms|s|m|h))+",
    also: Some(r#"{ "type": "integer", "minimum": 0, "maximum": 31536000 }"#),
    check: |text| max_age(text).map(drop),
};

/// A duration. Plain numbers are seconds, as in the header of this name.
pub(super) fn max_age(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    let found = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => duration_parts(text)?,
    };
    if found > YEAR { Err("at most 365 days".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for (text, read) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            (":80", "0.0.0.0:80"),
            ("localhost:0", "localhost:0"),
            ("[0:0::1]:443", "[::1]:443"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(read));
        }
        for text in
            ["", "8080", "localhost", "a:65536", "a:+1", "a:", "::1:80", "[::1]", "[a]:1", "http://a:80", "a b:1"]
        {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn methods_are_tokens_in_capitals() {
        assert_eq!(method("get"), Ok(Some(Method::GET)));
        assert_eq!(method("PURGE").unwrap().unwrap().as_str(), "PURGE");
        assert_eq!((method("*"), method("any")), (Ok(None), Ok(None)));
        for text in ["", "GET,POST", "GET POST", "é"] {
            assert!(method(text).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_have_a_scheme_and_no_path() {
        assert_eq!(origin("*"), Ok(None));
        assert_eq!(origin("https://A.example:8443"), Ok(Some(HeaderValue::from_static("https://a.example:8443"))));
        for text in ["", "a.example", "https://a.example/", "https://a.example/x", "https://*.example", "https://"] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks_may_be_one_address() {
        assert_eq!(network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("::1").unwrap().to_string(), "::1/128");
        assert!(network("10.0.0.0/33").is_err() && network("localhost").is_err());
    }

    #[test]
    fn ages_are_seconds_or_have_a_unit() {
        assert_eq!(max_age("90"), Ok(Duration::from_secs(90)));
        assert_eq!(max_age("1h30m"), Ok(Duration::from_secs(5400)));
        assert!(max_age("31536001").is_err() && max_age("-1").is_err() && max_age("").is_err());
    }
}
