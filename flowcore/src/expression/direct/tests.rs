//! What is evaluated here is compared with what the interpreter gives.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::expression::compile::Form;
use crate::expression::{Expression, ExpressionError, Roots, Slot};
use crate::value::{Object, Value, read_json};

/// Cases of one run; `FLOW_PROPERTY_CASES` asks for more, `FLOW_PROPERTY_SEED` for others.
const CASES: u32 = 3_000;

/// What the names of an expression stand for; `None` is undefined.
type Values = [Option<Value>; 4];

fn look_up(values: &Values, slot: &Slot) -> Option<Value> {
    let place = match slot {
        Slot::Input(name) if &**name == "a" => 0,
        Slot::Input(_) => 1,
        Slot::Node(_) => 2,
        _ => 3,
    };
    values[place].clone()
}

/// How an expression was evaluated.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Way {
    NotCompiled,
    Interpreted,
    Direct,
}

/// Everything about a result that anybody can see.
fn shown(result: Result<Value, ExpressionError>) -> Result<(String, bool), ExpressionError> {
    let shown =
        |value: Value| (Value::to_json_text(&value.revealed().unwrap()), value.is_tainted());
    result.map(shown)
}

fn compare(text: &str, values: &Values) -> Way {
    let Ok(expression) = Expression::compile(text, Roots::Workflow) else {
        return Way::NotCompiled;
    };
    let Form::Compiled(compiled) = &expression.form else { return Way::Interpreted };
    let values: Vec<_> = expression.slots().iter().map(|slot| look_up(values, slot)).collect();
    let tainted = values.iter().flatten().any(Value::is_tainted);
    let interpreted = expression.interpret(&compiled.interpreted, &values, tainted);
    let interpreted = interpreted.map(|value| if tainted { value.tainted() } else { value });
    assert_eq!(shown(expression.evaluate(&values)), shown(interpreted), "{text} with {values:?}");
    match compiled.direct.as_ref().and_then(|direct| direct.evaluate(&values)) {
        Some(_) => Way::Direct,
        None => Way::Interpreted,
    }
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(words).prop_map(str::to_owned)
}

const LITERALS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "63",
    "2.5",
    "0.1",
    "9007199254740993",
    "18446744073709551615",
    "''",
    "'a'",
    "'12'",
    "' Ä'",
    "true",
    "false",
    "none",
    "[]",
    "[1, 'a', none]",
    "{'b': 1, 'a': 2}",
];
const ODD_LITERALS: &[&str] = &[
    "007",
    "64",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "1_000",
    "0x1f",
    "0.0",
    "1.0",
    "1.",
    "1e3",
    "1.5e300",
    "9007199254740992.0",
    "\"ab\"",
    "'2.5'",
    "'\\n'",
    "True",
    "None",
    "{}",
    "{'a': 1, 'a': 2}",
    "{1: 2}",
    "[1,]",
    "(1, 2)",
    "inputs",
    "inputs['a']",
];
const STEPS: &[&str] = &[".a", ".b", "['a']", "[0]", "[1]", "[-1]"];
const ODD_STEPS: &[&str] =
    &[".items", "[-9]", "[1.0]", "[inputs.b]", "[9223372036854775808]", ".0", "[1:]", ".a()"];
const FILTERS: &[&str] = &[
    "default(1)",
    "default",
    "d('x')",
    "d(inputs.b)",
    "length",
    "lower",
    "upper",
    "trim",
    "string",
    "int",
    "float",
    "json",
];
const ODD_FILTERS: &[&str] = &[
    "d(1, true)",
    "count",
    "bool",
    "from_json",
    "bytes",
    "base64",
    "base64_decode",
    "int(0)",
    "abs",
    "first",
];
const TESTS: &[&str] =
    &["defined", "not defined", "undefined", "not undefined", "none", "not none", "odd", "eq 1"];
const LOGIC: &[&str] = &["and", "or", "and not", "or not"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">=", "in", "not in"];
const CALCULATIONS: &[&str] = &["+", "-", "*", "/", "//", "%", "**", "~"];

/// The text of an expression, with brackets only now and then.
fn expressions() -> impl Strategy<Value = String> {
    let step = prop_oneof![6 => one_of(STEPS), 1 => one_of(ODD_STEPS)].boxed();
    let path = (one_of(&["nodes.n.out", "item"]), proptest::collection::vec(step.clone(), 0..3))
        .prop_map(|(root, steps)| root + &steps.concat());
    let leaf = prop_oneof![
        4 => Just("inputs.a".to_owned()),
        2 => Just("inputs.b".to_owned()),
        3 => path,
        4 => one_of(LITERALS),
        1 => one_of(ODD_LITERALS),
    ];
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let filter = prop_oneof![4 => one_of(FILTERS), 1 => one_of(ODD_FILTERS)];
        let operator =
            prop_oneof![3 => one_of(LOGIC), 3 => one_of(COMPARISONS), 4 => one_of(CALCULATIONS)];
        let two = (inner.clone(), inner.clone());
        let three = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            8 => (two.clone(), operator).prop_map(|((a, b), join)| format!("{a} {join} {b}")),
            2 => (inner.clone(), filter).prop_map(|(a, filter)| format!("{a} | {filter}")),
            2 => (inner.clone(), one_of(TESTS)).prop_map(|(a, test)| format!("{a} is {test}")),
            1 => inner.clone().prop_map(|a| format!("not {a}")),
            1 => inner.clone().prop_map(|a| format!("-{a}")),
            4 => inner.clone().prop_map(|a| format!("({a})")),
            2 => three.prop_map(|(a, b, c)| format!("{a} if {b} else {c}")),
            1 => two.clone().prop_map(|(a, b)| format!("{a} if {b}")),
            1 => two.clone().prop_map(|(a, b)| format!("[{a}, {b}]")),
            1 => two.prop_map(|(a, b)| format!("{{'b': {a}, 'a': {b}}}")),
            1 => (inner, step.clone()).prop_map(|(a, step)| format!("({a}){step}")),
        ]
    })
}

fn numbers() -> impl Strategy<Value = Value> {
    let integers =
        [0, 1, -1, 2, 3, 7, 63, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, i64::MAX, i64::MIN];
    let floats = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.5,
        0.1,
        9_007_199_254_740_992.0,
        9_223_372_036_854_775_808.0,
        18_446_744_073_709_551_616.0,
        -9_223_372_036_854_775_808.0,
        1e19,
        1e300,
        5e-324,
    ];
    prop_oneof![
        4 => proptest::sample::select(integers.to_vec()).prop_map(Value::from),
        1 => proptest::sample::select(vec![1_u64 << 63, u64::MAX]).prop_map(Value::from),
        2 => proptest::sample::select(floats.to_vec())
            .prop_map(|float| Value::try_from(float).unwrap()),
    ]
}

fn texts() -> impl Strategy<Value = Value> {
    one_of(&["", "a", "ab", "12", "-3", "2.5", " a ", "Ä", "true", "[1]", "YQ=="])
        .prop_map(Value::from)
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        4 => numbers(),
        3 => texts(),
        1 => proptest::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
    ]
}

fn containers() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(2, 8, 3, |inner| {
        let inner = perhaps_tainted(inner, 0.05);
        let entries = (proptest::option::of(inner.clone()), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..3)
                .prop_map(|items| Value::try_from(items).unwrap()),
            entries.prop_map(|(a, b)| {
                let a = a.map(|a| ("a", a));
                Object::from_entries(a.into_iter().chain([("b", b)])).unwrap().into()
            }),
        ]
    })
}

fn perhaps_tainted(
    values: impl Strategy<Value = Value> + Clone + 'static,
    often: f64,
) -> impl Strategy<Value = Value> + Clone {
    (values, proptest::bool::weighted(often))
        .prop_map(|(value, tainted)| if tainted { value.tainted() } else { value })
}

/// Mostly of a kind that makes many an expression succeed.
fn values() -> impl Strategy<Value = Values> {
    let any = prop_oneof![scalars(), containers()].boxed();
    let slot = |usual: BoxedStrategy<Value>| {
        let value = perhaps_tainted(prop_oneof![4 => usual, 1 => any.clone()].boxed(), 0.1);
        proptest::option::weighted(0.95, value)
    };
    [slot(numbers().boxed()), slot(texts().boxed()), slot(containers().boxed()), slot(any.clone())]
}

#[test]
fn what_is_direct_is_what_the_interpreter_gives() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let seed: u32 = number("FLOW_PROPERTY_SEED").unwrap_or(0);
    let config = Config {
        cases: number("FLOW_PROPERTY_CASES").unwrap_or(CASES),
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config.clone(), rng);
    let mut ways = std::cell::RefCell::new(Vec::new());
    let result = runner.run(&(expressions(), values()), |(text, values)| {
        let way = compare(&text, &values);
        ways.borrow_mut().push(way);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("FLOW_PROPERTY_SEED={seed}: {reason}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
    for way in [Way::Interpreted, Way::Direct] {
        let count = ways.get_mut().iter().filter(|seen| **seen == way).count();
        assert!(count * 5 > config.cases as usize, "{way:?}: {count}");
    }
}

#[track_caller]
fn check(text: &str, way: Way) {
    let item = r#"{"name": "ada", "tags": ["x", "y"], "none": null, "n": -7, "big": 1e19}"#;
    let values = [Some(Value::from(3)), Some(Value::from("b")), None, read_json(item).ok()];
    assert_eq!(compare(text, &values), way, "{text}");
}

#[test]
fn what_is_written_most_is_direct() {
    for text in [
        "inputs.a * 2 + 1 > 6",
        "inputs.a >= 3 and inputs.b == 'b' or item.n < 0",
        "item.name ~ ' ' ~ inputs.a ~ item.none ~ true ~ 2.5 ~ item.big",
        "'large' if inputs.a >= 1000 else 'small'",
        "inputs.b in ['a', 'b'] and 'x' in item.tags and 'name' in item and 'd' not in item.name",
        "nodes.n.out | default(7)",
        "item.nothing is defined or item.none is none",
        "not item.tags | length == 2",
        "{'id': item.n, 'tags': [item.tags[-1], item.tags[inputs.a - 2]], 'x': item['name'] | upper}",
        "-7 // 2 == item.n // 2 and item.n % 3 == 2 and 2 ** 10 - 4 / 2 == 1022.0",
        "(inputs.a | string) + ('2' | int | string)",
        "9007199254740993 + 0",
        "1 == 1.0 and true != none and 'a' < 'b'",
    ] {
        check(text, Way::Direct);
    }
}

#[test]
fn what_fails_or_is_odd_is_left_to_the_interpreter() {
    for text in [
        "true == 1",
        "true + 1",
        "9007199254740993 == 9007199254740992.0",
        "18446744073709551615 + 1 - 1",
        "item.big < 10000000000000000001",
        "1 < inputs.a < 5",
        "item.tags == ['x', 'y']",
        "item.tags + [1]",
        "inputs.a / 0",
        "inputs.a // 0",
        "2 ** 64",
        "1.5e300 * 1.5e300",
        "7.5 // 2",
        "inputs.a < inputs.b",
        "nodes.n.out",
        "nodes.n.out.x | default(1)",
        "nodes.n.out == none",
        "inputs.a if false",
        "'\\n' ~ inputs.b",
        "inputs | length + inputs.a",
        "item.name[1:]",
        "item.name.upper()",
        "item.tags | join(',')",
        "range(inputs.a) | list",
    ] {
        check(text, Way::Interpreted);
    }
}
