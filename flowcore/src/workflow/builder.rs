//! Making workflows in Rust code.

use std::sync::Arc;

use super::{
    CacheSpec, Connection, InputSpec, Join, NodeSpec, OnError, RetryPolicy, UndoSpec, Workflow,
    WorkflowSpec,
};
use crate::id::{NodeId, WorkflowId};
use crate::node::{Effect, NodeConfig};
use crate::value::{Object, Value, ValueError};

impl Workflow {
    /// An empty workflow with this name; its id is the name with other characters than letters,
    /// digits, `_` and `-` turned into `-`.
    ///
    /// ```
    /// use flowcore::{NodeSpec, Workflow};
    ///
    /// let mut workflow = Workflow::new("greeting");
    /// workflow
    ///     .add_node(NodeSpec::new("text", "transform.template").config_value("template", "hello"))
    ///     .add_node(NodeSpec::new("log", "debug.log"))
    ///     .connect("text", "output", "log", "message");
    /// assert_eq!(workflow.nodes.len(), 2);
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let letter = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let id: String = name.chars().map(letter).take(crate::id::MAX_ID_LENGTH).collect();
        let spec = WorkflowSpec {
            id: WorkflowId::new(id).ok(),
            name: Some(name),
            ..WorkflowSpec::default()
        };
        Self::from(spec)
    }

    /// Adds a node at the end.
    pub fn add_node(&mut self, node: NodeSpec) -> &mut Self {
        self.nodes.push(node);
        self
    }

    /// Adds a connection that carries a value.
    pub fn connect(
        &mut self,
        from_node: &str,
        from_port: &str,
        to_node: &str,
        to_port: &str,
    ) -> &mut Self {
        self.connections.push(Connection {
            from_node: NodeId::unchecked(from_node),
            from_port: Some(Arc::from(from_port)),
            to_node: NodeId::unchecked(to_node),
            to_port: Some(Arc::from(to_port)),
        });
        self
    }

    /// Adds a connection that is order only: `to_node` runs after `from_node` succeeded.
    pub fn connect_after(&mut self, from_node: &str, to_node: &str) -> &mut Self {
        self.connections.push(Connection {
            from_node: NodeId::unchecked(from_node),
            from_port: None,
            to_node: NodeId::unchecked(to_node),
            to_port: None,
        });
        self
    }

    /// Declares an input by a JSON Schema.
    ///
    /// # Errors
    /// [`ValueError`] when the schema is nested too deep.
    pub fn add_input(
        &mut self,
        name: impl Into<String>,
        schema: serde_json::Value,
    ) -> Result<&mut Self, ValueError> {
        let schema = Value::from_json(schema)?.as_object().cloned().unwrap_or_default();
        self.inputs.get_or_insert_default().insert(name.into(), InputSpec { schema });
        Ok(self)
    }

    /// Declares an output by an expression in `{{ }}` or a plain value.
    ///
    /// # Errors
    /// [`ValueError`] when the value is nested too deep.
    pub fn add_output(
        &mut self,
        name: &str,
        value: impl Into<Value>,
    ) -> Result<&mut Self, ValueError> {
        self.outputs.get_or_insert_default().insert(name, value)?;
        Ok(self)
    }
}

impl NodeSpec {
    /// A node with everything else as default. Validation reports a bad id.
    pub fn new(id: impl AsRef<str>, node_type: impl Into<Arc<str>>) -> Self {
        Self {
            id: NodeId::unchecked(id.as_ref()),
            node_type: node_type.into(),
            name: None,
            description: None,
            config: NodeConfig::default(),
            when: None,
            join: Join::All,
            on_error: None,
            retry_policy: None,
            timeout_ms: None,
            effect: None,
            undo: None,
            cache: None,
            position: None,
            extensions: Object::new(),
        }
    }

    /// The whole config.
    #[must_use]
    pub fn config(mut self, config: Object) -> Self {
        self.config = NodeConfig::new(config);
        self
    }

    /// Sets one key of the config.
    ///
    /// # Panics
    /// When the value is nested as deep as a value may be.
    #[must_use]
    pub fn config_value(self, key: &str, value: impl Into<Value>) -> Self {
        let mut config = self.config.as_object().clone();
        config.insert(key, value).expect("a config value is not nested 100 levels deep");
        self.config(config)
    }

    /// An expression; false or null skips the node.
    #[must_use]
    pub fn when(mut self, expression: &str) -> Self {
        self.when = Some(Value::from(expression));
        self
    }

    /// Runs the node only if this rule, an object in JSONLogic, gives something that counts as true.
    #[must_use]
    pub fn when_logic(mut self, rule: Object) -> Self {
        self.when = Some(Value::Object(rule));
        self
    }

    /// Which connections must be live.
    #[must_use]
    pub fn join(mut self, join: Join) -> Self {
        self.join = join;
        self
    }

    /// What happens to the workflow when the node fails.
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = Some(on_error);
        self
    }

    /// When a failed attempt is followed by another.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = Some(Box::new(policy));
        self
    }

    /// The longest that one attempt may take, in milliseconds.
    #[must_use]
    pub fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = Some(timeout_ms);
        self
    }

    /// What attempts do to the world.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }

    /// How long its result may be reused, if it is `pure`.
    #[must_use]
    pub fn cache(mut self, cache: CacheSpec) -> Self {
        self.cache = Some(Box::new(cache));
        self
    }

    /// What takes back what the node has done, when the execution does not succeed.
    #[must_use]
    pub fn undo(mut self, undo: UndoSpec) -> Self {
        self.undo = Some(Box::new(undo));
        self
    }
}

impl UndoSpec {
    /// An undo with everything else as default.
    ///
    /// ```
    /// use flowcore::{NodeSpec, UndoSpec};
    ///
    /// let cancel = UndoSpec::new("http.request")
    ///     .config_value("method", "DELETE")
    ///     .config_value("url", "https://example.com/rooms/{{ nodes.room.json.id }}");
    /// let room = NodeSpec::new("room", "http.request").undo(cancel);
    /// assert!(room.undo.is_some());
    /// ```
    pub fn new(node_type: impl Into<Arc<str>>) -> Self {
        Self {
            node_type: node_type.into(),
            config: NodeConfig::default(),
            retry_policy: None,
            timeout_ms: None,
            effect: None,
        }
    }

    /// The whole config.
    #[must_use]
    pub fn config(mut self, config: Object) -> Self {
        self.config = NodeConfig::new(config);
        self
    }

    /// Sets one key of the config.
    ///
    /// # Panics
    /// When the value is nested as deep as a value may be.
    #[must_use]
    pub fn config_value(self, key: &str, value: impl Into<Value>) -> Self {
        let mut config = self.config.as_object().clone();
        config.insert(key, value).expect("a config value is not nested 100 levels deep");
        self.config(config)
    }

    /// When a failed attempt is followed by another.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = Some(Box::new(policy));
        self
    }

    /// The longest that one attempt may take, in milliseconds.
    #[must_use]
    pub fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = Some(timeout_ms);
        self
    }

    /// What attempts do to the world.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }
}
