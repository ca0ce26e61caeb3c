//! Proxies named by the environment, by the customs of curl.

use super::Failure;
use ureq::Proxy;
use ureq::http::Uri;

/// The proxy for an address: `https_proxy` or `http_proxy` by its scheme, else `all_proxy`, in lower or upper case. None for
/// this machine itself and for hosts in `no_proxy`.
pub(super) fn of(url: &Uri, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Proxy>, Failure> {
    let set =
        |name: &str| [name.to_string(), name.to_uppercase()].iter().find_map(|name| variable(name)).filter(|v| !v.is_empty());
    let host = url.host().unwrap_or_default();
    if is_loopback(host) || set("no_proxy").is_some_and(|list| is_listed(host, &list)) {
        return Ok(None);
    }
    let own = if url.scheme_str() == Some("https") { "https_proxy" } else { "http_proxy" };
    let Some((name, value)) = [own, "all_proxy"].into_iter().find_map(|name| Some((name, set(name)?))) else { return Ok(None) };
    let wrong = |why: &str| Failure::Network(format!("the proxy in {name} {why}; expected http://HOST:PORT"));
    // ureq panics at SOCKS proxies unless built for them.
    if value.to_ascii_lowercase().starts_with("socks") {
        return Err(wrong("is a SOCKS proxy, which is not supported"));
    }
    Proxy::new(&value).map(Some).map_err(|_| wrong("is not an address"))
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a host, or a domain that it belongs to, is in a list separated by commas.
fn is_listed(host: &str, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let domain = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
        entry == "*" || host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_selects_the_proxy() {
        let chosen = |url: &str, variables: &[(&str, &str)]| {
            let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
            of(&url.parse().unwrap(), &variable).map(|proxy| proxy.map(|proxy| proxy.host().to_string()))
        };
        let both = [("HTTPS_PROXY", "http://secure:3128"), ("http_proxy", "plain:80"), ("NO_PROXY", "in.house, .lan")];
        assert_eq!(chosen("https://example.org/x", &both).unwrap().as_deref(), Some("secure"));
        assert_eq!(chosen("http://example.org/x", &both).unwrap().as_deref(), Some("plain"));
        for direct in
            ["https://in.house/x", "https://a.in.house/x", "http://b.lan", "http://localhost:8000", "http://127.0.0.1:1/"]
        {
            assert_eq!(chosen(direct, &both).unwrap(), None, "{direct}");
        }
        assert_eq!(chosen("https://main.house/x", &both).unwrap().as_deref(), Some("secure"), "not a subdomain of in.house");
        assert_eq!(chosen("https://example.org", &[("all_proxy", "http://all:1")]).unwrap().as_deref(), Some("all"));
        assert_eq!(chosen("https://example.org", &[("https_proxy", "http://p:1"), ("no_proxy", "*")]).unwrap(), None);
        assert_eq!(chosen("https://example.org", &[]).unwrap(), None);
        for wrong in ["socks5://p:1080", "http://"] {
            assert!(String::from(chosen("https://example.org", &[("https_proxy", wrong)]).unwrap_err()).contains("https_proxy"));
        }
    }
}
