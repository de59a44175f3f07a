//! Every way to use a secret.

use std::net::SocketAddr;

use serde_json::{Value as Json, json};

/// Nodes that use secrets, each in a workflow of its own.
pub(super) fn nodes(listener: SocketAddr) -> Vec<Json> {
    let mut all = Vec::new();
    let mut node = |node_type: &str, config: Json| {
        all.push(json!({"id": "x", "node_type": node_type, "config": config}));
    };
    let templates = [
        "{{ S }}",
        "before {{ S }} after",
        "{{ S | upper }}",
        "{{ S | lower }}",
        "{{ S | base64 }}",
        "{{ S | replace('8', '9') }}",
        "{{ S | replace('cnry', '') }}",
        "{{ S | json }}",
        "{{ S | urlencode }}",
        "{{ S[::-1] }}",
        "{{ S[:16] }}",
        "{{ S[16:] }}",
        "{{ S ~ S }}",
        "{{ [S, {'k': S}] }}",
        "{{ {'a': S} | json }}",
        "{{ {S: 1} }}",
        "{{ S | list }}",
        "{{ S | bytes }}",
        "{{ S | length }}",
        "{{ S | string }}",
        "{{ S | title }}",
        "{{ S | split('-') }}",
        "{{ [S] | join(',') }}",
        "{{ S if S else 1 }}",
        "{{ S | escape }}",
        "{{ S | indent(2) }}",
        "{{ S | default('x') }}",
        "{{ '%s' | format(S) }}",
        "{{ inputs.none | default(S) }}",
        // These fail, and say why.
        "{{ S | int }}",
        "{{ S | float }}",
        "{{ S | bool }}",
        "{{ S | from_json }}",
        "{{ S | base64_decode }}",
        "{{ S + 1 }}",
        "{{ S.x.y }}",
        "{{ S | round }}",
        "{{ S < 1 }}",
        "{{ S % 2 }}",
        "{{ -S }}",
        "{{ S * S }}",
        "{{ {'a': 1}[S] }}",
        "{{ [1][S] }}",
        "{{ {'a': 1} | attr(S) }}",
        "{{ S | attr('x') }}",
        "{{ S | dictsort }}",
        "{{ 1 in S }}",
        "{{ S | groupby('x') }}",
        "{{ S | map('x') | list }}",
        "{{ [S] | sum }}",
        "{{ S(1) }}",
        "{{ [S] | map(S) | list }}",
        "{{ S | replace(1, 2) }}",
        "{{ S | batch(S) }}",
    ];
    for name in ["plain", "url", "text"] {
        let secret = format!("secrets.{name}");
        for template in templates {
            node("debug.log", json!({"message": template.replace('S', &secret)}));
        }
        let s = format!("{{{{ {secret} }}}}");
        for (node_type, config) in [
            ("transform.json_parse", json!({"json": s})),
            ("transform.json_parse", json!({"json": format!("{{\"a\": {s}}}")})),
            ("transform.csv_parse", json!({"csv": format!("a,b\n{s}")})),
            ("transform.xml_parse", json!({"xml": format!("<a>{s}</b>")})),
            ("transform.base64", json!({"input": s})),
            ("transform.base64", json!({"input": s, "mode": "decode"})),
            ("transform.json_stringify", json!({"value": {"k": s}})),
            ("transform.hash", json!({"input": s, "format": "base64"})),
            ("crypto.hmac", json!({"message": "m", "key": s, "key_format": "hex"})),
            ("crypto.hmac", json!({"message": s, "key": s})),
            ("crypto.hmac", json!({"message": s, "key": s, "mode": "verify", "signature": s})),
            ("transform.validate", json!({"input": s, "schema": {"type": "integer"}})),
            ("transform.validate", json!({"input": s, "schema": {"enum": ["x"]}})),
            (
                "transform.validate",
                json!({"input": {"a": s}, "on_invalid": "report",
                "schema": {"properties": {"a": {"pattern": "^x$"}}, "additionalProperties": false}}),
            ),
            ("transform.jq", json!({"input": s, "filter": "error"})),
            ("transform.jq", json!({"input": s, "filter": "tonumber"})),
            (
                "transform.jq",
                json!({"input": {"a": s}, "filter": ".a | @base64, ascii_upcase", "results": "all"}),
            ),
            ("transform.jq", json!({"input": {"a": s}, "filter": ".a + 1"})),
            ("transform.jq", json!({"input": {"a": s}, "filter": "{(.a): 1} | keys"})),
            (
                "transform.jsonlogic",
                json!({"input": {"a": s}, "logic": {"cat": [{"var": "a"}, "!"]}}),
            ),
            ("transform.jsonlogic", json!({"input": {"a": s}, "logic": {"throw": {"var": "a"}}})),
            ("transform.jsonlogic", json!({"input": {"a": s}, "logic": {"+": [{"var": "a"}, 1]}})),
            (
                "transform.template",
                json!({"values": {"v": s}, "template": "{{ v }}-{{ v | upper }}"}),
            ),
            ("transform.template", json!({"values": {"v": s}, "template": "{{ v | int }}"})),
            (
                "transform.template",
                json!({"values": {"v": s}, "template": "{{ v.x.y }}{{ v + 1 }}"}),
            ),
            ("transform.map", json!({"input": [s], "expression": "item ~ '!'"})),
            ("transform.map", json!({"input": [s], "expression": "item + 1"})),
            ("transform.map", json!({"input": [s], "fields": {"k": "item"}})),
            ("transform.filter", json!({"input": [s], "condition": "item"})),
            ("transform.sort", json!({"input": [s, 1]})),
            ("control.fail", json!({"message": s})),
            ("control.fail", json!({"message": format!("it failed with {s}"), "code": "own.code"})),
            ("control.stop", json!({"reason": s})),
            ("wait.signal", json!({"key": s})),
            ("wait.approval", json!({"key": s, "message": s})),
            (
                "control.for_each",
                json!({"items": [s, s], "body": {
                "nodes": [{"id": "y", "node_type": "debug.log", "config": {"message": "{{ item }}"}}],
                "outputs": "{{ nodes.y.message }}"}}),
            ),
            (
                "control.for_each",
                json!({"items": [s], "on_item_error": "collect", "body": {
                "nodes": [{"id": "y", "node_type": "control.fail", "config": {"message": "{{ item }}"}}]}}),
            ),
            (
                "control.for_each",
                json!({"items": s, "body": {
                "nodes": [{"id": "y", "node_type": "debug.log", "config": {"message": 1}}]}}),
            ),
            (
                "control.loop",
                json!({"state": s, "max_iterations": 2, "until": "index == 1", "body": {
                "nodes": [{"id": "y", "node_type": "debug.log", "config": {"message": "{{ state }}"}}],
                "outputs": "{{ nodes.y.message }}"}}),
            ),
            (
                "control.try",
                json!({
                "body": {"nodes": [{"id": "y", "node_type": "control.fail", "config": {"message": s}}]},
                "catch": {"nodes": [{"id": "z", "node_type": "debug.log",
                    "config": {"message": "{{ error.message }}"}}], "outputs": "{{ error }}"}}),
            ),
            ("control.if", json!({"condition": format!("{secret} == 'x'"), "input": s})),
            ("control.if", json!({"condition": format!("{secret} < 1")})),
            ("control.if", json!({"condition": secret})),
            (
                "control.switch",
                json!({"input": s,
                "cases": [{"port": "a", "when": format!("{secret} == 'x'")}]}),
            ),
            ("workflow.call", json!({"workflow": "called", "inputs": {"n": s}})),
            ("time.until", json!({"at": s})),
            ("shell.exec", json!({"command": s})),
            ("shell.exec", json!({"command": "true", "args": [s], "env": {"K": s}, "stdin": s})),
            ("shell.exec", json!({"command": "false", "args": [s]})),
            ("shell.exec", json!({"command": "true", "workdir": s})),
            ("shell.exec", json!({"command": "true", "env": {"K=": s}})),
            ("file.read", json!({"path": s})),
            ("file.write", json!({"path": s, "content": s})),
            ("file.list", json!({"path": s})),
            ("sql.query", json!({"database": s, "query": "SELECT 1"})),
            ("sql.query", json!({"database": format!("sqlite://{s}"), "query": "SELECT 1"})),
            (
                "sql.query",
                json!({"database": format!("postgres://u:{s}@127.0.0.1:1/db"), "query": "SELECT 1"}),
            ),
            ("sql.query", json!({"database": "sqlite://:memory:", "query": s})),
        ] {
            node(node_type, config);
        }
        let at = format!("http://{listener}");
        for (url, more) in [
            (format!("{at}/ok"), json!({"method": "POST", "body": s})),
            (format!("{at}/ok"), json!({"method": "POST", "body": {"k": [s]}})),
            (format!("{at}/ok"), json!({"headers": {"authorization": format!("Bearer {s}")}})),
            (format!("{at}/ok"), json!({"headers": {"x-key": s, "x": "y"}})),
            (format!("{at}/ok"), json!({"query": {"key": s}})),
            (format!("{at}/ok?key={s}"), json!({})),
            (format!("{at}/ok?key={{{{ {secret} | urlencode }}}}"), json!({})),
            (format!("{at}/{{{{ {secret} | urlencode }}}}"), json!({})),
            (format!("http://user:{{{{ {secret} | urlencode }}}}@{listener}/ok"), json!({})),
            (format!("http://user:{{{{ {secret} | urlencode }}}}@{listener}/fails"), json!({})),
            (format!("{at}/fails?key={{{{ {secret} | urlencode }}}}"), json!({})),
            (format!("{at}/fails"), json!({"query": {"key": s}, "headers": {"x-key": s}})),
            (format!("{at}/moved?key={{{{ {secret} | urlencode }}}}"), json!({})),
            // Nobody listens, or it is not allowed to go there, or it is no URL.
            (format!("http://user:{{{{ {secret} | urlencode }}}}@127.0.0.1:1/?k={s}"), json!({})),
            (format!("http://{s}.invalid/"), json!({})),
            (format!("http://10.0.0.1/{{{{ {secret} | urlencode }}}}"), json!({})),
            (
                format!("https://{listener}/{{{{ {secret} | urlencode }}}}"),
                json!({"timeout_ms": 2000}),
            ),
            (s.clone(), json!({})),
            (format!("{s}://host/"), json!({})),
            (format!("{at}/ok"), json!({"method": s})),
            (format!("{at}/ok"), json!({"headers": {"x-key": format!("a\r\n{s}")}})),
        ] {
            let mut config = more;
            config["url"] = url.into();
            node("http.request", config);
        }
    }
    all
}
