//! Writing down numbers that are read when somebody asks.

use std::fmt::{Debug, Error};
use std::sync::Arc;

use flowruntime::Durations;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// What knows some metrics.
pub(super) trait Tell: Debug + Send + Sync + 'static {
    /// Writes them down.
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error>;
}

/// One that others have, too.
#[derive(Debug)]
pub(super) struct Told<T>(pub(super) Arc<T>);

impl<T: Tell> Collector for Told<T> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.0.tell(&mut encoder)
    }
}

/// Writes metrics down, each with its help.
pub(super) trait Encode {
    fn gauge(&mut self, name: &str, help: &str, value: impl TryInto<i64>) -> Result<(), Error>;

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error>;

    fn durations(&mut self, name: &str, help: &str, durations: &Durations) -> Result<(), Error>;
}

impl Encode for DescriptorEncoder<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl TryInto<i64>) -> Result<(), Error> {
        let mut metric = self.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value.try_into().unwrap_or(i64::MAX))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let mut metric = self.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn durations(&mut self, name: &str, help: &str, durations: &Durations) -> Result<(), Error> {
        let mut metric = self.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let Durations { counts, sum, .. } = durations;
        metric.encode_histogram::<NoLabelSet>(*sum, durations.count(), counts, None)
    }
}
