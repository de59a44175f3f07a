//! Which control nodes there are, and the names that they give to what stands inside of them.

/// What the machine does with a control node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlKind {
    /// `control.if`: one of two ports.
    If,
    /// `control.switch`: one of many ports.
    Switch,
    /// `control.for_each`: a body for each item.
    ForEach,
    /// `control.loop`: a body again and again.
    Loop,
    /// `control.parallel_race`: the first of many bodies.
    Race,
    /// `control.try`: a body, what follows its failure, and what always follows.
    Try,
    /// `control.stop`: the end of the execution.
    Stop,
    /// `workflow.call`: another workflow.
    Call,
    /// `time.delay`: some time.
    Delay,
    /// `time.until`: a moment.
    Until,
    /// `wait.signal`: somebody outside.
    Signal,
    /// `wait.approval`: a person.
    Approval,
}

impl ControlKind {
    /// The node type.
    pub fn node_type(self) -> &'static str {
        match self {
            Self::If => "control.if",
            Self::Switch => "control.switch",
            Self::ForEach => "control.for_each",
            Self::Loop => "control.loop",
            Self::Race => "control.parallel_race",
            Self::Try => "control.try",
            Self::Stop => "control.stop",
            Self::Call => "workflow.call",
            Self::Delay => "time.delay",
            Self::Until => "time.until",
            Self::Signal => "wait.signal",
            Self::Approval => "wait.approval",
        }
    }

    /// Whether it holds other nodes, which may take their time.
    pub(crate) fn has_bodies(self) -> bool {
        match self {
            Self::ForEach | Self::Loop | Self::Race | Self::Try | Self::Call => true,
            Self::If
            | Self::Switch
            | Self::Stop
            | Self::Delay
            | Self::Until
            | Self::Signal
            | Self::Approval => false,
        }
    }

    /// The names that it gives its body; for a `control.try`, its `catch`.
    pub(crate) fn locals(self) -> &'static [Local] {
        match self {
            Self::ForEach => &[Local::Item, Local::Index],
            Self::Loop => &[Local::State, Local::Index],
            Self::Try => &[Local::Error],
            Self::If
            | Self::Switch
            | Self::Race
            | Self::Stop
            | Self::Call
            | Self::Delay
            | Self::Until
            | Self::Signal
            | Self::Approval => &[],
        }
    }
}

/// A name that a control node gives what stands inside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Local {
    /// The item of a `control.for_each`.
    Item,
    /// Its position, or the number of the iteration of a `control.loop`; from 0.
    Index,
    /// What a `control.loop` carries from one iteration to the next.
    State,
    /// What a `control.try` caught.
    Error,
}

impl Local {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Item, Self::Index, Self::State, Self::Error];

    /// The name in expressions.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Index => "index",
            Self::State => "state",
            Self::Error => "error",
        }
    }

    /// The local of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|local| local.as_str() == name)
    }

    /// Where it can be used.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Item => "`item` is known inside of a `control.for_each`",
            Self::Index => "`index` is known inside of a `control.for_each` or `control.loop`",
            Self::State => "`state` is known inside of a `control.loop`",
            Self::Error => "`error` is known inside of the `catch` of a `control.try`",
        }
    }
}
