//! Where time decides everything and chance nothing, the driver does exactly what the reference
//! says: every attempt is given the same, and the end is the same at the same moment.

use crate::CASES;
use crate::agrees::{check_agreement, house};
use crate::fit::for_agreement;
use crate::flavours::paused;
use crate::runner::run_part;
use crate::script::Case;
use crate::theatre::play;

fn check(case: &Case) {
    let case = for_agreement(case);
    check_agreement(&case, &paused(play(&case, &house())));
}

#[test]
fn the_driver_does_what_the_reference_says_part_0() {
    run_part(0, CASES, check);
}

#[test]
fn the_driver_does_what_the_reference_says_part_1() {
    run_part(1, CASES, check);
}

#[test]
fn the_driver_does_what_the_reference_says_part_2() {
    run_part(2, CASES, check);
}

#[test]
fn the_driver_does_what_the_reference_says_part_3() {
    run_part(3, CASES, check);
}
