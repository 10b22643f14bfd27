"""Prints the proxy's Grafana dashboard, for Grafana 10.1 and later. `make dashboard` writes it to the chart.

Each panel has a title, a description and a unit. Queries use `$__rate_interval`, so that they work with each scrape
interval, and the variables `datasource`, `job` and `instance`.
"""

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

# What each query selects: the chosen proxies and, in Envoy's own metrics, the proxy ports, the targets, or the
# services that issue tokens. The clusters are named in envoy/src/bootstrap/target_cluster.rs and
# identity_clusters.rs.
PROXIES = 'job=~"$job",instance=~"$instance"'
PORTS = f'{PROXIES},envoy_http_conn_manager_prefix="proxy"'
TARGETS = f'{PROXIES},envoy_cluster_name=~"target(-.+)?"'
TOKEN_SERVICES = f'{PROXIES},envoy_cluster_name=~"(imds|app-service|entra|tsiam|token-sidecar)(-[0-9]+)?"'


def queried(panel, title, description, unit, queries, span):
    """The panel with what each panel has; `queries` has the legend of each expression."""
    panel = panel.title(title).description(description).unit(unit).span(span).datasource(DATASOURCE)
    for ref, (expression, legend) in zip("ABCDEF", queries.items()):
        query = prometheus.Dataquery().expr(expression).legend_format(legend)
        panel = panel.with_target(query.ref_id(ref).datasource(DATASOURCE))
    return panel


def graph(title, description, unit, queries, span=8, style=GraphDrawStyle.LINE):
    """Values over time; points and bars for what is rare."""
    legend = common.VizLegendOptions().show_legend(True)
    legend = legend.display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    panel = timeseries.Panel().legend(legend).tooltip(tooltip).draw_style(style).height(8)
    panel = panel.fill_opacity(50 if style == GraphDrawStyle.BARS else 0).point_size(6)
    return queried(panel, title, description, unit, queries, span)


def now(title, description, unit, expression, *steps, legend="", none="none"):
    """The present value. Each step is a colour, and the value from which it is shown."""
    steps = [Threshold(value=value, color=color) for value, color in steps]
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    panel = stat.Panel().thresholds(thresholds).no_value(none).height(4)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel = panel.graph_mode(BigValueGraphMode.NONE).color_mode(BigValueColorMode.VALUE)
    return queried(panel, title, description, unit, {expression: legend}, span=4)


def quantiles(metric, selector, by=""):
    """The queries of the median and of the slowest percent, for each value of a label."""
    return {
        f"histogram_quantile({quantile}, sum by (le{by and f', {by}'}) (rate({metric}_bucket{{{selector}}}[$__rate_interval])))": (
            f"{name} {{{{{by}}}}}" if by else name
        )
        for quantile, name in ((0.5, "p50"), (0.99, "p99"))
    }


def per_second(metric, selector, by):
    """The rate of a counter, summed by some labels."""
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


STATE = [
    now(
        "Least token time left",
        "The time until the first of all tokens ends. A token is renewed when a tenth of its life is left; one of an hour has six minutes left then.",
        "s",
        f"min((entra_auth_token_expiry_timestamp_seconds{{{PROXIES}}} > 0) - time())",
        (None, "red"),
        (60, "orange"),
        (300, "green"),
        none="no token",
    ),
    now(
        "Renewals failing",
        "Tokens whose last attempt of a renewal has failed. Requests go on with the present token until it ends.",
        "short",
        f"sum(entra_auth_token_refresh_failures_consecutive{{{PROXIES}}} > bool 0)",
        (None, "green"),
        (1, "red"),
    ),
    now(
        "Proxies not ready",
        "Proxies whose /ready is 503, because a token that they must have is missing.",
        "short",
        f"sum(entra_auth_ready{{{PROXIES}}} == bool 0)",
        (None, "green"),
        (1, "red"),
    ),
    now(
        "Configuration mistakes",
        "Mistakes in the newest plugin configuration, in use or refused. The launcher does not start with one.",
        "short",
        f"sum(entra_auth_configuration_mistakes{{{PROXIES}}})",
        (None, "green"),
        (1, "red"),
    ),
    now(
        "First certificate to end",
        "The time until the first of the certificates ends with which applications prove who they are.",
        "s",
        f"min(entra_auth_certificate_expiry_timestamp_seconds{{{PROXIES}}} > 0) - time()",
        (None, "red"),
        (604800, "orange"),
        (1209600, "green"),
        none="no certificate",
    ),
    now(
        "Versions",
        "Proxies by the version of their filter.",
        "short",
        f"count by (version) (entra_auth_build_info{{{PROXIES}}})",
        (None, "text"),
        legend="{{version}}",
    ),
]

TOKENS = [
    graph(
        "Token time left",
        "The time until each token ends. A saw: it rises at each renewal.",
        "s",
        {
            f"min by (identity, audience) ((entra_auth_token_expiry_timestamp_seconds{{{PROXIES}}} > 0) - time())": "{{identity}} {{audience}}"
        },
    ),
    graph(
        "Token calls by result",
        "Calls for a token, successes and failures, within each interval.",
        "short",
        {
            f"sum by (identity, result) (increase(entra_auth_token_requests_total{{{PROXIES}}}[$__rate_interval]))": "{{identity}} {{result}}"
        },
        style=GraphDrawStyle.BARS,
    ),
    graph(
        "Token calls by latency",
        "How long the services that issue tokens take to respond. There is a point for each call.",
        "ms",
        quantiles("envoy_cluster_upstream_rq_time", TOKEN_SERVICES, by="envoy_cluster_name"),
        style=GraphDrawStyle.POINTS,
    ),
]

REQUESTS = [
    graph(
        "Requests by outcome",
        "Requests to targets, each try of Envoy's. authorized: sent with a token; it includes held (waited for the token) and unauthorized_refreshed (sent again with a newer one). unavailable: got 503, because there was no token. passed: sent without a token, because the cluster may not have one.",
        "reqps",
        {per_second("entra_auth_requests_total", PROXIES, "outcome"): "{{outcome}}"},
    ),
    graph(
        "Requests held",
        "Requests that wait for a token now. They wait until there is one, or get 503.",
        "short",
        {f"sum by (instance) (entra_auth_held_requests{{{PROXIES}}})": "{{instance}}"},
    ),
    graph(
        "The target's responses by status",
        "The target's own responses, each try of Envoy's, also where the client gets another one. 401 and 403: the target refuses the identity.",
        "reqps",
        {per_second("entra_auth_target_responses_total", PROXIES, "target, status_code"): "{{target}} {{status_code}}"},
    ),
]

LATENCY = [
    graph(
        "Latency for clients",
        "From the first byte of a request to the last byte of the response, with the time that a request waits for a token.",
        "ms",
        quantiles("envoy_http_downstream_rq_time", PORTS),
        span=12,
    ),
    graph(
        "Latency of the target",
        "From the end of a request to the end of the target's response.",
        "ms",
        quantiles("envoy_cluster_upstream_rq_time", TARGETS, by="envoy_cluster_name"),
        span=12,
    ),
]

CONNECTIONS = [
    graph(
        "Bytes",
        "Bytes that clients send to the proxy and receive from it.",
        "Bps",
        {
            f"sum(rate(envoy_http_downstream_cx_rx_bytes_total{{{PORTS}}}[$__rate_interval]))": "from clients",
            f"sum(rate(envoy_http_downstream_cx_tx_bytes_total{{{PORTS}}}[$__rate_interval]))": "to clients",
        },
    ),
    graph(
        "Retries",
        "Requests that Envoy sends to the target again: after a 401 with a newer token, or after a connection without a response.",
        "reqps",
        {per_second("envoy_cluster_upstream_rq_retry", TARGETS, "envoy_cluster_name"): "{{envoy_cluster_name}}"},
    ),
    graph(
        "Connection failures",
        "Connections that could not be opened, to targets and to services that issue tokens: refused, timed out, or TLS failed.",
        "cps",
        {per_second("envoy_cluster_upstream_cx_connect_fail", PROXIES, "envoy_cluster_name"): "{{envoy_cluster_name}}"},
    ),
]

ITSELF = [
    graph(
        "Memory",
        "Envoy's memory: what is allocated, and what it has from the system.",
        "bytes",
        {
            f"envoy_server_memory_allocated{{{PROXIES}}}": "{{instance}} allocated",
            f"envoy_server_memory_physical_size{{{PROXIES}}}": "{{instance}} physical",
        },
        span=12,
    ),
    graph(
        "Exports of telemetry",
        "Exports by OTLP, by signal and result. Failed ones are lost. There are none unless an endpoint is set.",
        "cps",
        {per_second("entra_auth_telemetry_exports_total", PROXIES, "signal, result"): "{{signal}} {{result}}"},
        span=12,
    ),
]


def choice(name, label, query):
    """A variable for some values of a label, or all."""
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(DATASOURCE)
    variable = variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    return variable.multi(True).include_all(True).all_value(".+")


BOARD = (
    dashboard.Dashboard("Entra Auth for Envoy")
    .uid("entra-auth-envoy")
    .description("Tokens, requests and targets of the proxies that put Microsoft Entra tokens on requests.")
    .tags(["entra-auth"])
    .readonly()
    .tooltip(DashboardCursorSync.CROSSHAIR)
    .time("now-6h", "now")
    .timezone("browser")
    .refresh("1m")
    .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    .with_variable(choice("job", "Job", "label_values(entra_auth_build_info, job)"))
    .with_variable(choice("instance", "Instance", 'label_values(entra_auth_build_info{job=~"$job"}, instance)'))
)
ROWS = {"State": STATE, "Tokens": TOKENS, "Requests": REQUESTS, "Latency": LATENCY, "Connections": CONNECTIONS, "Proxy": ITSELF}
for name, panels in ROWS.items():
    BOARD = BOARD.with_row(dashboard.Row(name))
    for panel in panels:
        BOARD = BOARD.with_panel(panel)

print(JSONEncoder(sort_keys=True, indent=2).encode(BOARD.build()))
