// The page: sign in, list executions, watch one live. No build step, no library.
"use strict";

const $ = (selector) => document.querySelector(selector);
const SVG = "http://www.w3.org/2000/svg";
const ENDED = ["Succeeded", "Failed", "Cancelled", "TimedOut"];

/** An element with text or children in it: never markup. */
function make(name, attributes = {}, ...children) {
  const element = name.startsWith("svg:")
    ? document.createElementNS(SVG, name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  if (answer.status === 401 && path !== "/session") {
    show("sign-in");
    throw new Error("sign in first");
  }
  const text = await answer.text();
  const body = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(body?.detail ?? answer.statusText);
  return body;
}

const post = (path, body) =>
  ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });

function show(id) {
  for (const part of document.querySelectorAll("main")) part.hidden = part.id !== id;
  $("#leave").hidden = id === "sign-in";
  if (id === "sign-in") $("#token").focus();
}

function trouble(error) {
  $("#trouble").hidden = !error;
  $("#trouble").textContent = error ? error.message : "";
}

const attempt = (work) => work().then(() => trouble(null), trouble);

function took(from, to) {
  if (!from) return "";
  const ms = (to ? new Date(to) : new Date()) - new Date(from);
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.floor((ms % 60000) / 1000)} s`;
}

// The list.

let status = "";
let cursor = null;
let timer = null;

function row(execution) {
  const link = make("a", { href: `#${execution.id}` }, execution.id);
  return make(
    "tr",
    {},
    make("td", { class: execution.status }, execution.status),
    make("td", {}, execution.workflow_id),
    make("td", {}, execution.version ?? "–"),
    make("td", {}, new Date(execution.created_at).toLocaleString()),
    make("td", {}, took(execution.started_at, execution.ended_at)),
    make("td", {}, link),
  );
}

async function list(more) {
  const query = new URLSearchParams({ limit: 50 });
  if (status) query.set("status", status);
  if (more) query.set("cursor", cursor);
  const page = await ask(`/api/v1/executions?${query}`);
  const rows = page.items.map(row);
  const body = $("#list tbody");
  if (more) body.append(...rows);
  else body.replaceChildren(...rows);
  cursor = page.next_cursor;
  $("#more").hidden = !cursor;
  $("#none").hidden = body.children.length > 0;
  show("list");
}

// One execution.

let source = null;
let current = null;

/** The column of each node: one more than that of the last before it. */
function columns(graph) {
  const column = graph.nodes.map(() => 0);
  const before = graph.nodes.map(() => []);
  for (const [from, to] of graph.edges) before[to].push(from);
  const known = new Set();
  const find = (node) => {
    if (known.has(node)) return column[node];
    known.add(node);
    for (const other of before[node]) column[node] = Math.max(column[node], find(other) + 1);
    return column[node];
  };
  graph.nodes.forEach((_, node) => find(node));
  return column;
}

function draw(graph) {
  const [width, height, gap, step] = [170, 44, 60, 64];
  const column = columns(graph);
  const used = [];
  const places = graph.nodes.map((_, node) => {
    const x = column[node];
    const y = (used[x] = (used[x] ?? -1) + 1);
    return { x: 16 + x * (width + gap), y: 16 + y * step };
  });
  const svg = $("#graph");
  const right = Math.max(...places.map((place) => place.x), 0) + width + 16;
  const bottom = Math.max(...places.map((place) => place.y), 0) + height + 16;
  svg.setAttribute("viewBox", `0 0 ${right} ${bottom}`);
  svg.style.maxHeight = `${Math.min(bottom * 1.4, 544)}px`;
  const lines = graph.edges.map(([from, to]) => {
    const [a, b] = [places[from], places[to]];
    const [x1, y1, x2, y2] = [a.x + width, a.y + height / 2, b.x, b.y + height / 2];
    const middle = (x1 + x2) / 2;
    return make("svg:path", { d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` });
  });
  const nodes = graph.nodes.map((node, index) => {
    const { x, y } = places[index];
    return make(
      "svg:g",
      { class: "node Pending", "data-node": node.id, transform: `translate(${x} ${y})` },
      make("svg:title", {}, node.name ?? node.id),
      make("svg:rect", { width, height }),
      make("svg:text", { x: 10, y: 19 }, short(node.name ?? node.id)),
      make("svg:text", { x: 10, y: 35, class: "type" }, short(node.node_type)),
    );
  });
  svg.replaceChildren(...lines, ...nodes);
}

const short = (text) => (text.length > 22 ? `${text.slice(0, 21)}…` : text);

/** How a node stands after an event. */
const AFTER = {
  NodeStarted: "Running",
  NodeWaiting: "Waiting",
  WaitEnded: "Pending",
  NodeCompleted: "Succeeded",
  NodeFailed: "Failed",
  NodeSkipped: "Skipped",
  NodeCancelled: "Cancelled",
  NodeInterrupted: "Pending",
};

function paint(node, status) {
  const drawn = $(`#graph [data-node="${CSS.escape(node)}"]`);
  if (drawn) drawn.setAttribute("class", `node ${status}`);
}

async function refresh(id) {
  const execution = await ask(`/api/v1/executions/${id}`);
  if (current !== id) return;
  $("#one h2").textContent = execution.id;
  const facts = [
    ["Workflow", execution.workflow_id + (execution.version ? `, version ${execution.version}` : "")],
    ["Status", execution.status],
    ["Accepted", new Date(execution.created_at).toLocaleString()],
    ["Took", took(execution.started_at, execution.ended_at)],
    ["Inputs", JSON.stringify(execution.inputs)],
    ["Outputs", execution.outputs === null ? "" : JSON.stringify(execution.outputs, null, 2)],
    ["Error", execution.error ? `${execution.error.message} [${execution.error.code}]` : ""],
  ];
  const shown = facts.filter(([, text]) => text);
  $("#one dl").replaceChildren(
    ...shown.flatMap(([name, text]) => [
      make("dt", {}, name),
      make("dd", name === "Status" ? { class: text } : {}, text),
    ]),
  );
  $("#deeds").hidden = ENDED.includes(execution.status);
  for (const [node, state] of Object.entries(execution.nodes)) paint(node, state.status);
}

function line(event) {
  const { seq, at, execution_id, type, node_id, ...rest } = event;
  const text = Object.keys(rest).length ? ` ${JSON.stringify(rest)}` : "";
  const cut = text.length > 300 ? `${text.slice(0, 300)}…` : text;
  const item = make("li", {}, `${at.slice(11, 23)} ${type} ${node_id ?? ""}${cut}`);
  if (seq) item.value = seq;
  return item;
}

async function open(id) {
  current = id;
  $("#events").replaceChildren();
  show("one");
  draw(await ask(`/api/v1/executions/${id}/graph`));
  await refresh(id);
  source = new EventSource(`/api/v1/executions/${id}/events`);
  const hear = (message) => {
    const event = JSON.parse(message.data);
    const events = $("#events");
    events.append(line(event));
    while (events.children.length > 1000) events.firstChild.remove();
    events.scrollTop = events.scrollHeight;
    const after = AFTER[event.type];
    if (after) paint(event.node_id, event.retry_at ? "Waiting" : after);
    if (event.type === "WorkflowCompleted") {
      source.close();
      attempt(() => refresh(id));
    }
    if (["Paused", "Resumed", "WorkflowStarted"].includes(event.type)) attempt(() => refresh(id));
  };
  const names = ["WorkflowStarted", "ScopeOpened", "ScopeClosed", "RoundStarted", "SignalReceived"];
  names.push("CancelRequested", "Paused", "Resumed", "Recovered", "CleanupStarted", "UndoStarted");
  names.push("StopRequested", "WorkflowCompleted", "NodeEvent", ...Object.keys(AFTER));
  for (const name of names) source.addEventListener(name, hear);
}

// What is shown follows from the address.

function go() {
  source?.close();
  clearInterval(timer);
  source = current = timer = null;
  const id = decodeURIComponent(location.hash.slice(1));
  if (id) return attempt(() => open(id));
  for (const button of document.querySelectorAll("[data-status]")) {
    button.setAttribute("aria-pressed", button.dataset.status === status);
  }
  timer = setInterval(() => {
    // A part that was added by hand is not taken away.
    if (!document.hidden && $("#list tbody").children.length <= 50) attempt(() => list(false));
  }, 3000);
  return attempt(() => list(false));
}

addEventListener("hashchange", go);
for (const button of document.querySelectorAll("[data-status]")) {
  button.addEventListener("click", () => {
    status = button.dataset.status;
    go();
  });
}
$("#more").addEventListener("click", () => attempt(() => list(true)));
for (const button of document.querySelectorAll("[data-deed]")) {
  button.addEventListener("click", () =>
    attempt(async () => {
      await post(`/api/v1/executions/${current}/${button.dataset.deed}`);
      await refresh(current);
    }),
  );
}
$("#sign-in form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await post("/session", { token: $("#token").value.trim() });
    $("#token").value = "";
    await go();
  });
});
$("#leave").addEventListener("click", () =>
  attempt(async () => {
    await ask("/session", { method: "DELETE" });
    show("sign-in");
  }),
);
go();
