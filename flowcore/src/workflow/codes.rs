//! Every stable code of this crate, in one place.

/// A stable code and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeDoc {
    /// The code, such as `workflow.cycle`.
    pub code: &'static str,
    /// What it means, one sentence.
    pub meaning: &'static str,
}

const fn code(code: &'static str, meaning: &'static str) -> CodeDoc {
    CodeDoc { code, meaning }
}

/// The codes of diagnostics and errors of this crate, by name. A code never changes its meaning;
/// one that is no longer used stays out of use.
pub const CODES: &[CodeDoc] = &[
    code("cache.not_pure", "A node has a `cache` and is not `pure`."),
    code("call.invalid", "A workflow that is called has errors."),
    code("call.invalid_inputs", "A called workflow is given inputs that are not what it declares."),
    code("call.never_ends", "A workflow calls itself every time, so the calls have no end."),
    code("call.not_found", "There is no workflow of the name that is called."),
    code("call.too_deep", "Workflows call each other more than 8 deep."),
    code("config.invalid", "The config of a node does not have the form that its node type reads."),
    code("config.missing_key", "The config of a node lacks a key that its node type needs."),
    code("config.not_allowed", "A value in the config of a node is none of those allowed."),
    code("config.out_of_range", "A value in the config of a node is too small or too large."),
    code("config.too_costly", "The config of a node takes too many steps to check."),
    code("config.unknown_key", "The config of a node has a key that its node type does not know."),
    code("config.wrong_type", "A value in the config of a node is of another type."),
    code("connection.bad_value", "A key of a connection has none of the values that it may have."),
    code("connection.missing_key", "A connection lacks a key that it must have."),
    code(
        "connection.no_from_port",
        "A connection names the port that it enters but not the one that it leaves.",
    ),
    code("connection.out_of_range", "A number of a connection is too small or too large."),
    code(
        "connection.port_taken",
        "Two connections enter one input port, and nothing chooses between them.",
    ),
    code("connection.type_mismatch", "A connection brings a value that its port never takes."),
    code("connection.unknown_key", "A connection has a key that connections do not have."),
    code("connection.unknown_node", "A connection names a node that does not exist."),
    code("connection.unknown_port", "A connection names a port that the node does not have."),
    code("connection.wrong_type", "A key of a connection has a value of another type."),
    code("control.failed", "A `control.fail` without a code of its own."),
    code("control.no_body", "A control node has neither a body nor a workflow, or both."),
    code(
        "control.no_cache",
        "A control node has a `cache`, which only the nodes inside of it can have.",
    ),
    code("control.no_condition", "A `control.loop` has no condition that ends it."),
    code(
        "control.no_retry",
        "A control node has a retry policy, which only the nodes inside of it can have.",
    ),
    code("control.no_timeout", "A node that has no attempts has a `timeout_ms`."),
    code("control.port_taken", "A case of a `control.switch` has a port that every node has."),
    code("control.too_deep", "Bodies stand more than 8 deep inside of each other."),
    code("execution.cancelled", "Somebody cancelled the execution."),
    code("execution.finished", "A signal came after the end of the execution."),
    code("execution.timed_out", "The execution took longer than `max_execution_time_ms`."),
    code("expression.cannot_convert", "A filter met a value that it does not convert."),
    code("expression.failed", "An expression failed when it was evaluated."),
    code(
        "expression.needs_literal",
        "Nodes, ports and secrets are only reachable by their literal names.",
    ),
    code(
        "expression.never_defined",
        "An expression reads the port `error` of a node where it never has a value.",
    ),
    code("expression.not_comparable", "An expression compares values of different kinds."),
    code("expression.syntax", "An expression is not written as the language wants it."),
    code("expression.too_complex", "An expression has too many operators or levels of brackets."),
    code("expression.too_expensive", "Evaluating an expression takes too many steps."),
    code("expression.too_long", "An expression is too long."),
    code("expression.unclosed", "An expression begins with `{{` and has no `}}`."),
    code("expression.undefined", "An expression uses something that has no value."),
    code("expression.unknown_filter", "An expression uses a filter that does not exist."),
    code("expression.unknown_function", "An expression calls a function that does not exist."),
    code("expression.unknown_name", "An expression uses a name that does not exist."),
    code("expression.unknown_test", "An expression uses a test that does not exist."),
    code("for_each.too_many_items", "A `control.for_each` has more than 10,000 items."),
    code(
        "history.too_large",
        "The history of an execution is as large as it may be, so the execution was ended.",
    ),
    code(
        "history.too_many_events",
        "The history of an execution has as many events as it may, so the execution was ended.",
    ),
    code("id.character", "An id has a character other than letters, digits, `_` and `-`."),
    code("id.empty", "An id is empty."),
    code("id.too_long", "An id is longer than 128 characters."),
    code("input.bad_default", "The default of an input does not satisfy the schema of the input."),
    code("input.bad_name", "The name of an input does not match `[A-Za-z0-9_-]{1,128}`."),
    code("input.bad_schema", "The declaration of an input is not a JSON Schema."),
    code("input.invalid", "The value of an input port does not have the type that the node reads."),
    code("input.missing", "A required input port had no value when the node ran."),
    code("input.missing_key", "An input of an execution lacks a key that it must have."),
    code("input.not_allowed", "An input of an execution is none of the values allowed."),
    code("input.not_given", "An input that the workflow needs is not given."),
    code("input.out_of_range", "An input of an execution is too small or too large."),
    code("input.too_costly", "An input of an execution takes too many steps to check."),
    code("input.undeclared", "An input is given that the workflow does not declare."),
    code("input.unknown_key", "An input of an execution has a key that it may not have."),
    code(
        "input.unknown_keyword",
        "The schema of an input has a keyword that JSON Schema does not have.",
    ),
    code("input.wrong_type", "An input of an execution is of another type."),
    code("join.never_runs", "A node waits for connections that are never live together."),
    code("json.bad_bytes", "An object with the key `$bytes` does not hold base64."),
    code("json.duplicate_key", "A key stands twice in one object."),
    code("json.integer_too_large", "An integer does not fit into 64 bits."),
    code("json.number_too_large", "A number is beyond the range of a 64-bit float."),
    code("json.syntax", "The text is not JSON."),
    code("json.too_deep", "Arrays and objects are nested deeper than 100 levels."),
    code("json.truncated", "The text ends in the middle."),
    code("logic.failed", "A rule in JSONLogic failed when it was evaluated."),
    code("logic.syntax", "A rule is not written as JSONLogic wants it."),
    code("logic.too_complex", "A rule in JSONLogic has too many operators."),
    code("logic.too_expensive", "Evaluating a rule in JSONLogic takes too many steps."),
    code("logic.unknown_operator", "A rule in JSONLogic uses an operator that does not exist."),
    code("loop.limit", "A `control.loop` is not over after `max_iterations`."),
    code("merge.not_objects", "A `control.merge` is to combine values that are not objects."),
    code("node.bad_id", "The id of a node does not match `[A-Za-z0-9_-]{1,128}`."),
    code("node.bad_value", "A key of a node has none of the values that it may have."),
    code("node.delay_cut", "The first wait of a retry policy is longer than its longest wait."),
    code("node.duplicate_id", "Two nodes have the same id."),
    code("node.interrupted", "The process that ran an attempt ended; the node starts again."),
    code("node.missing_key", "A node lacks a key that it must have."),
    code("node.not_async", "A node type that is a plain function was asked for an async node."),
    code("node.out_of_range", "A number of a node is too small or too large."),
    code(
        "node.outcome_unknown",
        "The process that ran an attempt ended, and the node is not to start twice.",
    ),
    code("node.panicked", "The code of a node panicked."),
    code("node.timed_out", "An attempt took longer than it may."),
    code("node.unknown_key", "A node has a key that nodes do not have."),
    code("node.unknown_type", "There is no node type of this name."),
    code(
        "node.wrong_kind",
        "A node type is declared as a plain function and made as an async node, or the reverse.",
    ),
    code("node.wrong_type", "A key of a node has a value of another type."),
    code("policy.host_denied", "The policy does not allow the node to talk to this host."),
    code("policy.path_denied", "The policy does not allow the node to touch this path."),
    code("policy.program_denied", "The policy does not allow the node to run this program."),
    code("port.unconnected", "A required input port has neither a connection nor a value."),
    code("race.all_failed", "Every branch of a `control.parallel_race` failed."),
    code(
        "rate_limit.no_attempts",
        "A rate limit names a control node, which has no attempts that it could limit.",
    ),
    code("rate_limit.unknown_node", "A rate limit names a node that does not exist."),
    code(
        "recovery.crash_loop",
        "The process ended again and again while an execution ran, so the execution is paused.",
    ),
    code(
        "rerun.outputs_not_kept",
        "The results of an execution were not kept, so none can be used.",
    ),
    code("rerun.unknown_node", "An execution is to run again from a node that does not exist."),
    code(
        "runtime.impossible_fact",
        "A bug in Flow: an execution could not go on from what happened, so it is paused.",
    ),
    code("secret.unknown", "There is no secret of this name."),
    code("settings.bad_value", "A setting has none of the values that it may have."),
    code("settings.missing_key", "A part of the settings lacks a key that it must have."),
    code("settings.out_of_range", "A number of the settings is too small or too large."),
    code("settings.unknown_key", "There is no setting of this name."),
    code("settings.wrong_type", "A setting has a value of another type."),
    code("shell.unquoted", "An expression in the text of a shell is not quoted."),
    code("signal.bad_schema", "The schema of a `wait.signal` is not a JSON Schema."),
    code(
        "signal.invalid",
        "A signal brings something else than the node that waits for it expects.",
    ),
    code("signal.too_many", "As many signals as are kept have come, and none was waited for."),
    code("signal.unknown_name", "No node waits for a signal of this name."),
    code("state.denied", "A node that is `pure` has no access to the state."),
    code("trigger.bad_cron", "A cron expression cannot be read."),
    code("trigger.bad_id", "The id of a trigger does not match `[A-Za-z0-9_-]{1,128}`."),
    code("trigger.bad_path", "The path of a webhook cannot be part of an address."),
    code("trigger.bad_topic", "A topic is not made of names with dots between them."),
    code("trigger.bad_value", "A key of a trigger has none of the values that it may have."),
    code("trigger.duplicate_id", "Two triggers have the same id."),
    code("trigger.duplicate_path", "Two webhooks of one workflow have the same path."),
    code("trigger.missing_key", "A trigger lacks a key that it must have."),
    code("trigger.out_of_range", "A number of a trigger is too small or too large."),
    code("trigger.unknown_key", "A trigger has a key that triggers of its type do not have."),
    code("trigger.unknown_timezone", "There is no time zone of this name."),
    code("trigger.wrong_type", "A key of a trigger has a value of another type."),
    code("undo.aborted", "Cleaning up was cut off or took too long before a node was undone."),
    code("undo.control_node", "The undo of a node is a control node."),
    code("undo.nested", "The undo of a node has an undo itself."),
    code("undo.never_runs", "A node that ends the execution has an undo, which could never run."),
    code("undo.outcome_unknown", "An attempt was cut off, so there may be something to undo."),
    code("value.not_finite", "NaN and the infinities are no values: JSON has no such numbers."),
    code("value.too_deep", "A value may be nested at most 100 levels deep."),
    code(
        "when.not_boolean",
        "The `when` of a node or workflow gives neither true nor false nor null.",
    ),
    code("workflow.bad_id", "The id of a workflow does not match `[A-Za-z0-9_-]{1,128}`."),
    code("workflow.bad_value", "A key of a workflow has none of the values that it may have."),
    code("workflow.cycle", "Nodes wait for each other in a circle."),
    code("workflow.missing_key", "A workflow lacks a key that it must have."),
    code("workflow.no_nodes", "The workflow has no nodes."),
    code("workflow.out_of_range", "A number of a workflow is too small or too large."),
    code("workflow.tagged_value", "A value or trigger is spelt as flowengine spells it."),
    code("workflow.too_deep", "The workflow is nested deeper than 100 levels."),
    code("workflow.too_many_connections", "The workflow has more connections than the limit."),
    code("workflow.too_many_nodes", "The workflow has more nodes than the limit."),
    code("workflow.too_many_problems", "There are more problems than are listed."),
    code(
        "workflow.unknown_format_version",
        "The file is of a format that this Flow does not read.",
    ),
    code("workflow.unknown_key", "A workflow has a key that workflows do not have."),
    code("workflow.wrong_type", "A key of a workflow has a value of another type."),
    code("yaml.bad_bytes", "An object with the key `$bytes` does not hold base64."),
    code("yaml.bad_key", "A key of a mapping is not a plain text."),
    code("yaml.duplicate_key", "A key stands twice in one mapping."),
    code("yaml.integer_too_large", "An integer does not fit into 64 bits."),
    code("yaml.merge_key", "Merge keys (`<<`) are not read."),
    code("yaml.not_finite", "JSON has no infinities, no NaN and no numbers beyond 64-bit floats."),
    code("yaml.recursive_alias", "An alias stands within what it refers to."),
    code("yaml.several_documents", "A workflow file holds one document."),
    code("yaml.syntax", "The text is not YAML."),
    code("yaml.too_deep", "Sequences and mappings are nested deeper than 100 levels."),
    code("yaml.too_many_aliases", "Aliases would make the document far larger than its text."),
    code("yaml.unknown_tag", "A tag is not one of YAML's core schema."),
    code("yaml.unsupported", "This build does not read YAML."),
];

/// What a code means; `None` for a code of another crate.
pub fn explain_code(code: &str) -> Option<&'static CodeDoc> {
    let index = CODES.binary_search_by(|known| known.code.cmp(code)).ok()?;
    Some(&CODES[index])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Texts that look like codes.
    const NOT_CODES: [&str; 12] = [
        "control.fail",
        "control.for_each",
        "control.if",
        "control.loop",
        "control.merge",
        "control.parallel_race",
        "control.stop",
        "control.switch",
        "control.try",
        "execution.id",
        "execution.nothing",
        "workflow.call",
    ];

    fn is_code(text: &str) -> bool {
        let part = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let known = |prefix: &str| CODES.iter().any(|c| c.code.split('.').next() == Some(prefix));
        text.split_once('.').is_some_and(|(prefix, name)| {
            known(prefix) && part(name) && !name.is_empty() && !NOT_CODES.contains(&text)
        })
    }

    fn collect_codes(folder: &Path, codes: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect_codes(&path, codes);
            } else if path != Path::new(env!("CARGO_MANIFEST_DIR")).join("src/workflow/codes.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                codes.extend(text.split('"').filter(|text| is_code(text)).map(str::to_owned));
            }
        }
    }

    #[test]
    fn the_table_lists_exactly_the_codes_in_use() {
        let mut used = BTreeSet::new();
        collect_codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        let listed: BTreeSet<String> = CODES.iter().map(|c| c.code.to_owned()).collect();
        let missing: Vec<_> = used.difference(&listed).collect();
        let unused: Vec<_> = listed.difference(&used).collect();
        assert!(missing.is_empty() && unused.is_empty(), "missing {missing:?}, unused {unused:?}");
    }

    #[test]
    fn the_table_is_sorted_and_explains() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        assert!(CODES.iter().all(|c| c.meaning.ends_with('.')));
        assert_eq!(explain_code("json.syntax").unwrap().meaning, "The text is not JSON.");
        assert_eq!(explain_code("http.status"), None);
    }
}
