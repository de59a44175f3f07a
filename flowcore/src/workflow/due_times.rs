//! The due times of a cron expression.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::Timestamp;

/// The moments that a cron expression names in a time zone, each once.
///
/// Where clocks are set forward or back, the rule is that of cron. An expression that names one time
/// of the day means that time: when it is left out that day, it is due at the first moment after the
/// gap; when it comes twice, at the first of both. Any other expression means whatever the clock on
/// the wall shows: times that are left out are not due, and those that come twice are due twice.
#[derive(Debug, Clone)]
pub struct DueTimes {
    cron: Cron,
    zone: TimeZone,
}

/// Five fields, or six with seconds first.
pub(crate) fn parse_cron(expression: &str) -> Result<Cron, CronError> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(expression)
}

impl DueTimes {
    /// The due times of an expression, in UTC unless there is a time zone. `None` when either is not
    /// as in a workflow that was checked.
    ///
    /// Time zones are those that Flow brings along, so every server finds the same due times.
    pub fn new(expression: &str, timezone: Option<&str>) -> Option<Self> {
        let cron = parse_cron(expression).ok()?;
        let zone = match timezone {
            Some(name) => TimeZoneDatabase::bundled().get(name).ok()?,
            None => TimeZone::UTC,
        };
        Some(Self { cron, zone })
    }

    /// The first due time after a moment; `None` when there is none any more.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&self.second(moment)?, false).ok()?;
        // Whoever goes from one to the next always gets on.
        Some(Timestamp::from_jiff(found.timestamp())).filter(|found| *found > moment)
    }

    /// The last due time that is not after a moment; `None` when there was none.
    pub fn at_or_before(&self, moment: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_previous_occurrence(&self.second(moment)?, true).ok()?;
        Some(Timestamp::from_jiff(found.timestamp())).filter(|found| *found <= moment)
    }

    /// The second that a moment is in, on the wall.
    fn second(&self, moment: Timestamp) -> Option<Zoned> {
        let whole = moment.as_micros().div_euclid(1_000_000).checked_mul(1_000_000)?;
        Some(Timestamp::from_micros(whole).to_jiff()?.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests;
