//! `examples/scheduled`.

use flowcore::{DueTimes, Missed, Timestamp, TriggerKind};
use serde_json::json;

use super::support::{outputs, workflow};

const WORKFLOW: &str = "examples/scheduled/workflow.json";

#[test]
fn the_report_is_that_of_the_day_that_was_due() {
    let given = ["due=2026-03-02T05:30:00.000Z"];
    assert_eq!(outputs(WORKFLOW, &given), json!({"report": "The report of Oslo for 2026-03-02"}));
}

#[test]
fn it_is_due_on_working_days_in_winter_and_in_summer() {
    let workflow = workflow(WORKFLOW);
    let TriggerKind::Cron(cron) = &workflow.triggers[0].kind else { panic!("{workflow:?}") };
    assert_eq!(cron.missed, Missed::All);
    let due = DueTimes::new(&cron.expression, cron.timezone.as_deref()).unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    // Clocks are set forward on Sunday.
    let friday = due.after(at("2026-03-27T00:00:00Z")).unwrap();
    let monday = due.after(friday).unwrap();
    assert_eq!([friday, monday], [at("2026-03-27T05:30:00Z"), at("2026-03-30T04:30:00Z")]);
    let inputs = cron.inputs_at(monday);
    assert_eq!(inputs.get("due").and_then(|due| due.as_str()), Some("2026-03-30T04:30:00.000Z"));
    assert!(flowcore::resolve_inputs(&workflow, inputs).is_ok());
}
