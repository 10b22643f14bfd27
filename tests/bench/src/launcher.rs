//! Envoy as the launcher configures it: the bootstrap that `entra-auth-envoy render` prints, and the
//! pieces of it that the others are made from.

use std::path::Path;

use e2e::azure::Azure;
use e2e::free_port;
use serde_json::{Value, json};

use crate::test_bed::{TestBed, Upstream};

/// Where a printed bootstrap has its admin socket.
const RUN_DIR: &str = "/run/entra-auth-envoy";

/// The names that the launcher gives.
const LISTENER: &str = "proxy";
const CLUSTER: &str = "target";
pub(crate) const WASM: &str = "envoy.filters.http.wasm";
const SERVICE: &str = "envoy.bootstrap.wasm";
const HEALING: &str = "envoy.filters.http.custom_response";
const PROTOCOLS: &str = "/typed_extension_protocol_options\
                         /envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

/// What may be different.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choices<'a> {
    pub(crate) upstream: Upstream,
    pub(crate) module: &'a Path,
    /// `ACCESS_LOG`.
    pub(crate) access_log: &'a str,
    /// Variables of OpenTelemetry.
    pub(crate) telemetry: &'a [(&'a str, &'a str)],
}

/// A bootstrap of the launcher's.
#[derive(Debug, Clone)]
pub(crate) struct Launcher(pub(crate) Value);

impl Launcher {
    /// Renders it, with tokens of this Azure.
    pub(crate) fn render(
        test_bed: &TestBed,
        azure: &Azure,
        choices: Choices,
    ) -> Result<Self, String> {
        let target = &test_bed.target;
        let (target, authority) = match choices.upstream {
            Upstream::Plain => (format!("http://{}", target.plain), azure.authority()),
            Upstream::Tls => (
                format!("https://localhost:{}", target.tls.port()),
                test_bed.authority.clone(),
            ),
        };
        let proxy = choices
            .telemetry
            .iter()
            .fold(azure.proxy(), |proxy, (name, value)| {
                proxy.set(name, *value)
            });
        let output = proxy
            .set("TARGET_HOST", target)
            .set("SSL_CERT_FILE", authority)
            .set("LISTENING_PORT", free_port().to_string())
            .set("ACCESS_LOG", choices.access_log)
            .set("ENTRA_AUTH_MODULE", choices.module)
            .command("render")
            .output()
            .map_err(|error| format!("entra-auth-envoy render: {error}"))?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            return Err(format!("entra-auth-envoy render: {reason}"));
        }
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(test_bed.folder())
            .map_err(|error| error.to_string())?
            .keep();
        let text = String::from_utf8_lossy(&output.stdout);
        let text = text.replace(RUN_DIR, &folder.display().to_string());
        serde_json::from_str(&text)
            .map(Self)
            .map_err(|error| format!("entra-auth-envoy render: {error}"))
    }

    /// Its listener and its cluster, taken out.
    pub(crate) fn take(&mut self) -> Result<Way, String> {
        Ok(Way {
            listener: take_named(at(&mut self.0, "/static_resources/listeners")?, LISTENER)?,
            cluster: take_named(at(&mut self.0, "/static_resources/clusters")?, CLUSTER)?,
        })
    }

    /// Adds a way through this Envoy.
    pub(crate) fn add(&mut self, way: Way) -> Result<(), String> {
        push(&mut self.0, "/static_resources", "listeners", way.listener)?;
        push(&mut self.0, "/static_resources", "clusters", way.cluster)
    }

    /// The port of its listener.
    pub(crate) fn port(&mut self) -> Result<u16, String> {
        let listeners = at(&mut self.0, "/static_resources/listeners")?;
        let mut listeners = listeners.as_array().into_iter().flatten();
        listeners
            .find(|listener| listener["name"] == LISTENER)
            .and_then(|listener| listener.pointer("/address/socket_address/port_value"))
            .and_then(|port| u16::try_from(port.as_u64()?).ok())
            .ok_or_else(|| "the launcher's listener has no port".to_owned())
    }

    /// The service that gets tokens.
    pub(crate) fn service(&mut self) -> Result<&mut Value, String> {
        let extensions = list(&mut self.0, "/bootstrap_extensions")?;
        let service = extensions.iter_mut().find(|it| it["name"] == SERVICE);
        service.ok_or_else(|| format!("no {SERVICE} in the launcher's bootstrap"))
    }

    /// The same Envoy without our module.
    pub(crate) fn without_module(mut self) -> Result<Self, String> {
        list(&mut self.0, "/bootstrap_extensions")?.retain(|it| it["name"] != SERVICE);
        for listener in list(&mut self.0, "/static_resources/listeners")? {
            let filters = format!("{MANAGER}/http_filters");
            if listener.pointer(&filters).is_some() {
                list(listener, &filters)?.retain(|it| it["name"] != WASM);
            }
        }
        for cluster in list(&mut self.0, "/static_resources/clusters")? {
            let filters = format!("{PROTOCOLS}/http_filters");
            if cluster.pointer(&filters).is_some() {
                list(cluster, &filters)?.retain(|it| it["name"] != WASM);
            }
        }
        Ok(self)
    }
}

/// A way through an Envoy: a listener, and the cluster that it leads to.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) listener: Value,
    pub(crate) cluster: Value,
}

impl Way {
    /// Gives it a port and names of its own.
    pub(crate) fn named(
        mut self,
        listener: &str,
        port: u16,
        cluster: &str,
    ) -> Result<Self, String> {
        self.listener["name"] = json!(listener);
        let port_value = "/address/socket_address/port_value";
        *at(&mut self.listener, port_value)? = json!(port);
        *at(&mut self.listener, &format!("{MANAGER}/stat_prefix"))? = json!(listener);
        for route in self.routes()? {
            route["route"]["cluster"] = json!(cluster);
        }
        self.cluster["name"] = json!(cluster);
        *at(&mut self.cluster, "/load_assignment/cluster_name")? = json!(cluster);
        Ok(self)
    }

    /// The same without our filter.
    pub(crate) fn unauthorized(mut self) -> Result<Self, String> {
        self.upstream_filters()?.retain(|it| it["name"] != WASM);
        Ok(self)
    }

    /// The same without our filter and without what heals a 401: retries and the body that is kept
    /// for them, the answer that replaces a 401, the removal of the client's `authorization`.
    pub(crate) fn bare(self) -> Result<Self, String> {
        let mut bare = self.unauthorized()?;
        for route in bare.routes()? {
            if let Some(action) = route["route"].as_object_mut() {
                action.remove("retry_policy");
            }
            if let Some(route) = route.as_object_mut() {
                route.remove("request_body_buffer_limit");
                route.remove("request_headers_to_remove");
            }
        }
        bare.http_filters()?.retain(|it| it["name"] != HEALING);
        Ok(bare)
    }

    /// With this filter in the listener, next to the router.
    pub(crate) fn downstream(mut self, filter: Value) -> Result<Self, String> {
        let filters = self.http_filters()?;
        let router = filters.len().saturating_sub(1);
        filters.insert(router, filter);
        Ok(self)
    }

    /// With this filter in the cluster, where the launcher puts ours.
    pub(crate) fn upstream(mut self, filter: Value) -> Result<Self, String> {
        self.upstream_filters()?.insert(0, filter);
        Ok(self)
    }

    /// Our filter in the cluster.
    pub(crate) fn our_filter(&mut self) -> Result<&mut Value, String> {
        let mut filters = self.upstream_filters()?.iter_mut();
        let found = filters.find(|it| it["name"] == WASM);
        found.ok_or_else(|| format!("no {WASM} in the launcher's cluster"))
    }

    /// The routes that lead to the cluster.
    fn routes(&mut self) -> Result<Vec<&mut Value>, String> {
        let hosts = list(
            &mut self.listener,
            &format!("{MANAGER}/route_config/virtual_hosts"),
        )?;
        let name = self.cluster["name"].clone();
        let mut found = Vec::new();
        for host in hosts {
            let routes = list(host, "/routes")?.iter_mut();
            found.extend(routes.filter(|route| route["route"]["cluster"] == name));
        }
        match found.is_empty() {
            true => Err(format!("no route of the launcher's leads to {name}")),
            false => Ok(found),
        }
    }

    fn http_filters(&mut self) -> Result<&mut Vec<Value>, String> {
        list(&mut self.listener, &format!("{MANAGER}/http_filters"))
    }

    fn upstream_filters(&mut self) -> Result<&mut Vec<Value>, String> {
        list(&mut self.cluster, &format!("{PROTOCOLS}/http_filters"))
    }
}

/// What is at this place of the launcher's bootstrap.
fn at<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value, String> {
    value
        .pointer_mut(pointer)
        .ok_or_else(|| format!("the launcher's bootstrap has no {pointer}"))
}

fn list<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Vec<Value>, String> {
    at(value, pointer)?
        .as_array_mut()
        .ok_or_else(|| format!("{pointer} of the launcher's bootstrap is no list"))
}

/// Appends to a list of a bootstrap, which may not be there yet.
pub(crate) fn push(
    bootstrap: &mut Value,
    parent: &str,
    name: &str,
    what: Value,
) -> Result<(), String> {
    let place = &mut at(bootstrap, parent)?[name];
    if place.is_null() {
        *place = Value::Array(Vec::new());
    }
    list(place, "")?.push(what);
    Ok(())
}

fn take_named(of: &mut Value, name: &str) -> Result<Value, String> {
    let missing = || format!("the launcher's bootstrap has no {name:?}");
    let all = of.as_array_mut().ok_or_else(missing)?;
    let place = all.iter().position(|it| it["name"] == name);
    Ok(all.remove(place.ok_or_else(missing)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        let target = json!({
            "match": { "prefix": "/" },
            "route": { "cluster": "target", "retry_policy": {}, "timeout": "0s" },
            "request_body_buffer_limit": 1,
            "request_headers_to_remove": ["authorization"],
        });
        let health =
            json!({ "match": { "path": "/health" }, "direct_response": { "status": 200 } });
        let manager = json!({
            "stat_prefix": "proxy",
            "route_config": { "virtual_hosts": [{ "routes": [health, target] }] },
            "http_filters": [{ "name": "other" }, { "name": HEALING }, { "name": "router" }],
        });
        Way {
            listener: json!({
                "address": { "socket_address": { "port_value": 1 } },
                "filter_chains": [{ "filters": [{ "typed_config": manager }] }],
            }),
            cluster: json!({
                "name": "target",
                "load_assignment": { "cluster_name": "target" },
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "http_filters": [{ "name": WASM }, { "name": "codec" }],
                    },
                },
            }),
        }
    }

    fn names(filters: &[Value]) -> Vec<&Value> {
        filters.iter().map(|filter| &filter["name"]).collect()
    }

    #[test]
    fn bare_is_without_our_filter_and_without_what_heals_a_401() {
        let mut bare = way().bare().unwrap();
        assert_eq!(names(bare.http_filters().unwrap()), ["other", "router"]);
        assert_eq!(names(bare.upstream_filters().unwrap()), ["codec"]);
        let left = json!({
            "match": { "prefix": "/" },
            "route": { "cluster": "target", "timeout": "0s" },
        });
        assert_eq!(bare.routes().unwrap(), [&left]);
    }

    #[test]
    fn a_filter_stands_next_to_the_router_or_where_ours_stood() {
        let new = json!({ "name": "new" });
        let mut down = way().bare().unwrap().downstream(new.clone()).unwrap();
        assert_eq!(
            names(down.http_filters().unwrap()),
            ["other", "new", "router"]
        );
        let mut up = way().bare().unwrap().upstream(new).unwrap();
        assert_eq!(names(up.upstream_filters().unwrap()), ["new", "codec"]);
    }

    #[test]
    fn a_way_with_another_name_leads_to_a_cluster_with_another_name() {
        let mut named = way().named("two", 2, "cluster-two").unwrap();
        assert_eq!(named.listener["address"]["socket_address"]["port_value"], 2);
        assert_eq!(
            named.cluster["load_assignment"]["cluster_name"],
            "cluster-two"
        );
        assert_eq!(named.routes().unwrap().len(), 1);
    }
}
