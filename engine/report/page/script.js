"use strict";
// Builds the page from the report inside it. Text of records only ever becomes text nodes.

const report = JSON.parse(document.getElementById("report").textContent);
const causes = JSON.parse(document.getElementById("attention").textContent); // [object, text, alike, [[key, text]]]
const waiting = new Set(causes.flatMap(([object, , , rows]) => rows.map(([key]) => `${object}|${key}`)));
const PAGE = 100; // records of the table at once
const PRINTED = 2000; // records of the table on paper
const TICK = 5; // seconds by which the report counts calls
const COLUMNS = 60; // of the chart of calls over time, at most
const LISTED = 30; // rows of a long list before it has to be asked for
const FEW = 3; // records of one cause that are shown at once
const LONG = 600; // characters of a value before it gets its own scroll bar
const FIELD_STATES = {
  equal: ["equal", "arrived as it was"],
  transformed: ["transformed", "arrived, changed by the steps of its mapping"],
  looked_up: ["looked up", "arrived as a link to another record"],
  defaulted: ["defaulted", "arrived as a fixed or stand-in value"],
  stored_as: ["stored as", "arrived, in the form the destination gave it"],
  dropped: ["dropped", "left out by the mapping"],
  lost: ["lost", "wanted, but the destination holds something else"],
  changed_by_people: ["changed by people", "arrived, and people have changed it since"],
  empty: ["empty", "nothing in the source, nothing wanted"],
};
const RECORD_STATES = {
  arrived: ["arrived", "is in the destination"],
  skipped: ["skipped", "the mapping leaves it out"],
  failed: ["failed", "could not be written"],
  missing: ["missing", "should be in the destination and is not"],
};
const NOTE_TAGS = new Set("A B BLOCKQUOTE BR CODE DD DIV DL DT EM H1 H2 H3 H4 H5 H6 HR I LI OL P PRE S SPAN STRONG SUB SUP TABLE TBODY TD TFOOT TH THEAD TR U UL".split(" "));
const UNSHOWN = new Set(["SCRIPT", "STYLE", "TEMPLATE", "TITLE", "NOSCRIPT", "IFRAME"]);
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/u;
const STYLES = /<style[\s\S]*?(<\/style\s*>|$)/gi;
const ATTRIBUTES = /<(\/?[a-z][a-z0-9:-]*)(?:"[^"]*"|'[^']*'|[^"'>]){0,2000}>/gi;
const HTML_STEP = /^template .*\.html(\.|$)/; // the step that makes a note
const notePolicy = window.trustedTypes ? trustedTypes.createPolicy("notes", { createHTML: (text) => text }) : { createHTML: (text) => text };

// -- making elements
function add(node, children) {
  for (const child of children.flat(9)) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}
function el(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) node.setAttribute(key, value === true ? "" : value);
  }
  return add(node, children);
}
function svg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return add(node, children);
}
const count = (number) => (Number(number) || 0).toLocaleString("en", { maximumFractionDigits: 1 });
const money = (number) => Number(number).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;
const sum = (rows, key) => rows.reduce((total, row) => total + (row[key] || 0), 0);
const byId = (id) => document.getElementById(id);
const fold = (text) => text.normalize("NFD").replace(/\p{Mn}/gu, "").toLowerCase();

/** Text with the characters nobody sees made visible, kept apart from the direction of its surroundings. */
function value(text, kind = "value") {
  const long = text.length > LONG;
  const node = el(`bdi.${kind}${long ? ".long" : ""}`, { dir: "auto", ...(long && kind === "value" ? { tabindex: 0, role: "group", "aria-label": "long text" } : {}) });
  if (!HIDDEN.test(text)) { node.textContent = text; return node; }
  for (const part of text.split(new RegExp(`(${HIDDEN.source})`, "u"))) {
    if (!part) continue;
    const code = part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    node.append(part.length === 1 && HIDDEN.test(part) ? el("span.hidden-char", { title: "a character that cannot be seen" }, `U+${code}`) : part);
  }
  return node;
}
function chip(state, states = FIELD_STATES) {
  const [word, meaning] = states[state] || [state, ""];
  return el(`span.chip.s-${/^\w+$/.test(state) ? state : "other"}`, { title: meaning }, word);
}
const button = (text, action, attributes = {}) => el("button", { type: "button", ...attributes, onclick: action }, text);
function section(id, title, ...children) {
  if (!children.flat(9).some(Boolean)) return null;
  return el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title`, tabindex: -1 }, title), children);
}

/** A table; heads are [text, class]; the first cell of a row is its heading. */
function table(caption, heads, rows, cls = "") {
  const head = el("tr", {}, heads.map(([text, kind]) => el(kind ? `th.${kind}` : "th", { scope: "col" }, text)));
  const body = rows.map((cells) => el("tr", {}, cells.map((cell, at) => {
    const [text, kind] = heads[at];
    const name = at ? "td" : "th";
    return el(kind ? `${name}.${kind}` : name, { "data-head": text, ...(at ? {} : { scope: "row" }) }, cell);
  })));
  const made = el("table", {}, el("caption.unseen", {}, caption), el("thead", {}, head), el("tbody", {}, body));
  return el(`div.wide${cls}`, { role: "region", "aria-label": caption, tabindex: 0 }, made);
}

/** A list that shows its first rows and the rest on demand. */
function listed(rows, draw, most = LISTED) {
  const list = el("ul.list", {}, rows.slice(0, most).map(draw));
  if (rows.length <= most) return list;
  const more = button(`Show all ${count(rows.length)}`, () => { add(list, rows.slice(most).map(draw)); more.remove(); }, { class: "more" });
  return [list, more];
}

// -- what the report means
const records = report.records;
const recordId = (object, key) => `${object}|${key}`;
const indexOf = new Map(records.map((row, at) => [recordId(row.object, row.key), at]));
const objects = new Map(report.objects.map((row) => [row.object, row]));
function openLink(row, name) {
  const id = recordId(row.object, row.key);
  return el("a.open", { href: `#${hashWith({ r: id })}`, "data-at": indexOf.get(id) }, value(name, "name"));
}
function recordLink(object, key) {
  const row = records[indexOf.get(recordId(object, key))];
  const name = row ? row.title || row.key : key;
  const label = (objects.get(object) || row || {}).label || object;
  const small = el("span.muted", {}, value(label, "name"), name === key ? "" : [" · ", value(key, "key")]);
  if (!row) return el("span", {}, value(name, "name"), " ", small);
  return el("span", {}, openLink(row, name), " ", small);
}

// -- charts
/** One stacked bar: parts are [class, number, word]; whole is what the full width stands for. */
function bar(parts, whole, label, height = 10) {
  const image = svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": label, height });
  image.append(svg("title", {}, label), svg("rect", { class: "track", x: 0, y: 0, width: 100, height: 10 }));
  let x = 0;
  for (const [kind, number] of parts) {
    if (!number) continue;
    const width = Math.min((number / (whole || 1)) * 100, 100 - x);
    image.append(svg("rect", { class: `f-${kind}`, x, y: 0, width: Math.max(width, 0.6), height: 10 }));
    x = Math.min(x + width, 100);
  }
  return image;
}
function stateBar(counts, states, height) {
  const parts = Object.keys(states).map((state) => [state, counts[state] || 0, states[state][0]]).filter((part) => part[1]);
  const whole = parts.reduce((total, part) => total + part[1], 0);
  return whole ? bar(parts, whole, parts.map((part) => `${count(part[1])} ${part[2]}`).join(", "), height) : el("span.muted", {}, "none");
}
const legend = (states) => el("ul.legend", { "aria-label": "What the colours mean" }, Object.keys(states).map((state) => el("li", {}, chip(state, states), ` ${states[state][1]}`)));
const chartRow = (name, image, figure) => el("div.chart-row", {}, el("div.chart-name", {}, name), image, el("div.chart-figure", {}, figure));
function recordChart() {
  const rows = report.objects.filter((row) => row.records);
  const most = Math.max(1, ...rows.map((row) => row.records));
  return el(".chart", {}, el("h3", {}, "Records of each object"), rows.map((row) => {
    const parts = Object.keys(RECORD_STATES).map((state) => [state, row.states[state] || 0]).filter((part) => part[1]);
    const told = parts.map(([state, number]) => `${count(number)} ${state}`).join(", ");
    const rest = parts.filter(([state]) => state !== "arrived").map(([state, number]) => `${count(number)} ${state}`).join(", ");
    return chartRow(value(row.label, "name"), bar(parts, most, `${row.label}: ${told}`), rest ? `${count(row.records)}, ${rest}` : count(row.records));
  }));
}
const costUnit = (account = report.accounts.destination) => account.cost_unit || "units"; // older reports do not say it
const period = (seconds) => ({ 1: "second", 60: "minute", 3600: "hour", 86400: "day" })[seconds] || `${count(seconds)} s`;
function limitChart(account) {
  const rows = account.limits.map((limit) => {
    const used = Math.max(0, limit.allowance - limit.left);
    const share = limit.allowance ? used / limit.allowance : 0;
    const told = `${count(used)} of ${count(limit.allowance)} ${limit.unit === "cost" ? costUnit(account) : "calls"}`;
    const kind = share > 0.9 ? "high" : "used";
    const image = bar([[kind, used, "used"]], limit.allowance, `${limit.name}: ${told} per ${period(limit.seconds)}`);
    const percent = share > 0 && share < 0.001 ? "under 0.1" : count(share * 100);
    return chartRow([value(limit.name, "name"), el("span.muted", {}, ` per ${period(limit.seconds)}`)], image, `${told} (${percent} %)`);
  });
  const cost = costUnit(account) === "calls" ? "" : `, ${count(account.cost)} ${costUnit(account)}`;
  const spent = `This run: ${many(account.calls, "call")}${cost}; it waited ${count(account.waited)} s for the limits.`;
  const plan = [`plan ${account.plan || "unknown"}, ${many(account.seats, "seat")}`, account.plan_shown].filter(Boolean).join(", ");
  return el(".chart", {}, el("h3", {}, value(account.title, "name"), " ", el("span.muted", {}, value(plan, "name"))), el("p", {}, spent), rows, timeChart(account));
}
/** Columns over time: how much in each stretch, with what the account would have allowed for one as a line. */
function timeChart(account) {
  const ticks = account.over_time;
  const costs = account.limits.some((limit) => limit.unit === "cost");
  if (ticks.length < 2) return null;
  const start = ticks[0][0], end = ticks.at(-1)[0] + TICK;
  const seconds = Math.ceil((end - start) / TICK / COLUMNS) * TICK;
  const most = new Array(Math.ceil((end - start) / seconds)).fill(0);
  for (const [at, calls, cost] of ticks) most[Math.floor((at - start) / seconds)] += costs ? cost : calls;
  const top = Math.max(1, ...most);
  const unit = costs ? costUnit(account) : "calls";
  const label = `${account.title}: ${unit} over time, at most ${count(top)} in ${count(seconds)} s`;
  const image = svg("svg", { class: "columns", viewBox: `0 0 ${most.length} 20`, preserveAspectRatio: "none", role: "img", "aria-label": label, height: 48 });
  image.append(svg("title", {}, label));
  most.forEach((number, at) => image.append(svg("rect", { class: "f-used", x: at + 0.05, y: 20 - (number / top) * 20, width: 0.9, height: (number / top) * 20 })));
  const clock = (moment) => new Date(moment * 1000).toISOString().slice(11, 19);
  const tightest = account.limits.filter((limit) => limit.unit === (costs ? "cost" : "calls") && limit.allowance).map((limit) => ({ name: limit.name, number: (limit.allowance / limit.seconds) * seconds })).sort((one, other) => one.number - other.number)[0];
  const share = tightest ? `; the quota ${tightest.name} gives ${count(tightest.number)} ${unit} for as long` : "";
  return [el("p.muted", {}, `${unit} over time: ${count(seconds)} s a column, ${count(top)} at most${share}`), image,
    el("p.muted", {}, `${clock(start)} to ${clock(end)} UTC`)];
}
/** What value maps made of the values: as many rows as there are pairs, the commonest first. */
function mappedChart() {
  const rows = report.objects.flatMap((row) => row.mapped.map(([field, before, after, number]) => ({ row, field, before, after, number })));
  if (!rows.length) return null;
  const groups = new Map();
  for (const item of rows) groups.set(`${item.row.label}: ${item.field}`, [...(groups.get(`${item.row.label}: ${item.field}`) || []), item]);
  return el(".chart", {}, el("h3", {}, "States before and after"), [...groups].slice(0, LISTED).flatMap(([name, items]) => [
    el("p.muted", {}, value(name, "name")),
    items.slice(0, 12).map((item) => chartRow([value(item.before, "name"), " → ", value(item.after, "name")], bar([["used", item.number]], sum(items, "number"), `${item.before} became ${item.after}: ${count(item.number)}`), count(item.number))),
    items.length > 12 ? el("p.muted", {}, `and ${count(items.length - 12)} more`) : null,
  ]));
}

// -- sections
function heading() {
  const facts = [report.command, report.environment, `run ${report.run}`, report.generated_at, `spec ${report.spec_digest.slice(0, 8)}`, ...(report.mapping_digest ? [`mapping ${report.mapping_digest.slice(0, 8)}, as approvals name it`] : [])];
  add(byId("top"), [el("h1", {}, value(report.title, "name")), el("p.facts", {}, facts.map((text) => el("span", {}, value(text, "name"))))]);
}
function unchanged(told) {
  if (!report.command.endsWith("--delta") || ["arrived", "created", "updated", "adopted", "deleted"].some((word) => told[word])) return "";
  if (!told.failed && !told.missing) return "Nothing had changed";
  return told.changed === 0 ? "Nothing had changed in the source" : "";
}
function arrival(told) {
  const all = told.arrived + told.missing + (byId("main").dataset.inPart ? 0 : told.skipped) + told.failed;
  if (!all) return "No records were compared";
  return told.arrived === all ? `All ${many(all, "record")} arrived` : `${count(told.arrived)} of ${many(all, "record")} arrived`;
}
function attention(told) {
  if (waiting.size) return `${many(waiting.size, "needs", "need")} attention`;
  return told.state === "good" ? "nothing needs attention" : "look at the counts below";
}
function verdict() {
  const told = report.verdict;
  const tiles = [
    ["arrived", told.arrived, "arrived"], ["skipped", told.skipped, "skipped"], ["failed", told.failed, "failed"], ["missing", told.missing, "missing"],
    ["lost", told.lost_in_arrived, "fields lost in records that arrived"], ["changed_by_people", told.fields.changed_by_people, "fields changed by people"],
  ];
  const elsewhere = told.fields.lost - told.lost_in_arrived, standing = told.skipped_standing ? ` ${many(told.skipped_standing, "more record")} skipped whose row stands from before.` : "";
  const outside = told.not_taken ? ` ${many(told.not_taken, "record")} of the source not taken by any object.` : "";
  const more = ["adopted", "deleted"].filter((word) => told[word]).map((word) => `, ${count(told[word])} ${word}`).join("");
  const written = ACTIONS.length ? `Written: ${count(told.created)} created, ${count(told.updated)} updated, ${count(told.unchanged)} already up to date${more}.` : "This run only read and compared.";
  return el(`section.verdict.${told.state === "good" ? "good" : "attention"}`, { id: "verdict", "aria-labelledby": "verdict-title" },
    el("h2", { id: "verdict-title", tabindex: -1 }, unchanged(told) || arrival(told), ", ", el("strong", {}, attention(told)), "."),
    el("ul.tiles", {}, tiles.map(([kind, number, word]) => el(`li.tile${number ? `.t-${kind}` : ""}`, {}, el("b", {}, count(number)), ` ${word}`))),
    el("p", {}, written, standing, outside), stateBar(told.fields, FIELD_STATES, 14),
    el("p.muted.fields", {}, "Fields of all records: ", Object.keys(FIELD_STATES).map((state) => `${count(told.fields[state])} ${FIELD_STATES[state][0]}`).join(", "), ".", elsewhere ? ` Lost in records that did not arrive: ${count(elsewhere)}.` : ""),
    report.notices.map((text) => el("p.notice", {}, value(text, "name"))));
}
function moneyTable() {
  if (!report.money.length) return null;
  const rows = report.money.map((row) => {
    const gap = Math.round((row.live - row.wanted) * 100) / 100;
    const word = gap ? el("span.chip.s-lost", {}, `differs by ${money(gap)}`) : el("span.chip.s-equal", {}, "equal");
    return [value(row.label, "name"), value(row.currency, "name"), money(row.wanted), money(row.live), word];
  });
  return section("money", "Money", table("Sums wanted and live", [["Object"], ["Currency"], ["Wanted", "number"], ["Live", "number"], ["Check"]], rows));
}
function attentionList() {
  if (!causes.length) return section("attention", "What needs attention", el("p", {}, "Nothing."));
  return section("attention", `What needs attention (${count(waiting.size)})`, listed(causes.flatMap(eachOfFew), cause));
}
/** A few records with one cause are each named, as in the terminal. */
function eachOfFew([object, text, alike, rows]) {
  return rows.length > FEW ? [[object, text, alike, rows]] : rows.map((row) => [object, row[1], true, [row]]);
}
/** One record says it all; several are listed below what they have in common, the first few at once. */
function cause([object, text, alike, rows]) {
  if (rows.length === 1) return el("li", {}, recordLink(object, rows[0][0]), el(".why", {}, value(text, "name")));
  const said = ([key, own]) => el("li", {}, recordLink(object, key), alike ? null : el(".why", {}, value(own, "name")));
  return el("li.cause", {}, el("strong", {}, value(object, "name"), ` (${many(rows.length, "record")})`),
    el(".why", {}, value(text, "name"), alike ? null : ", or similar"), listed(rows, said, FEW));
}
function sampleSection() {
  const sample = report.sample;
  if (!sample) return null;
  return section("sample", "How the sample was chosen",
    el("p", {}, `${many(sample.chosen, "source record")} chosen (${count(sample.wanted)} asked for); they show ${count(sample.covered)} of ${count(sample.features)} features found in the data.`),
    el("p", {}, value(sample.how, "name")));
}
const [ACTIONS, PRICES] = report.verdict.created === undefined ? [[], []] // of a verification, which writes nothing
  : [["created", "updated", "unchanged", "skipped", "failed", "adopted", ...(report.verdict.deleted ? ["deleted"] : [])], ["cost", "least"]];
function objectTable() {
  const rows = report.objects.map((row) => [
    el("div", {}, value(row.label, "name"), el("div.muted", {}, value(`${row.from.join(", ")} → ${row.to}`, "key")), (row.reasons || []).slice(0, 3).map((text) => el(".why", {}, value(text, "name")))),
    count(row.records), ACTIONS.map((name) => zero(row[name])), stateBar(row.fields, FIELD_STATES), PRICES.map((name) => zero(row[name])),
  ].flat());
  rows.push(["All objects", count(sum(report.objects, "records")), ...ACTIONS.map((name) => zero(sum(report.objects, name))), stateBar(report.verdict.fields, FIELD_STATES), ...PRICES.map((name) => zero(sum(report.objects, name)))]);
  const heads = [["Object"], ["Records", "number"], ...ACTIONS.map((name) => [name, "number"]), ["Fields", "bars"], ...(PRICES.length ? [[costUnit()[0].toUpperCase() + costUnit().slice(1), "number"], ["Minimum", "number"]] : [])];
  return section("objects", "Objects", table("Objects and what became of them", heads, rows, ".totalled"), legend(FIELD_STATES), costLine(), provisionedLine());
}
const zero = (number) => number === undefined ? "" : number ? count(number) : el("span.muted", {}, "0");
function costLine() {
  const cost = sum(report.objects, "cost"), least = sum(report.objects, "least");
  if (!cost) return null;
  const over = least ? `, ${count(((cost - least) / least) * 100)} % above it` : "";
  return el("p", {}, `Writing took ${count(cost)} ${costUnit()}; the writes alone cost at least ${count(least)}${over}.`);
}
function provisionedLine() {
  const made = report.provisioned;
  if (!made) return null;
  return el("p", {}, `Custom fields: ${count(made.fields_made)} created, ${count(made.fields_found)} found; ${many(made.options_made, "option")} created${made.cost ? ` for ${count(made.cost)} ${costUnit()}` : ""}.`, made.refused.map((text) => el(".why", {}, value(text, "name"))));
}
function peopleTable() {
  if (!report.people.length) return null;
  const rows = report.people.map((person) => [
    value(person.name || person.key, "name"), value(person.email || "no e-mail", "name"), chip(person.state, {}),
    person.state === "matched" ? value(`user ${person.user}`, "name") : value(`${report.fallback_owner || "nobody"} stands in`, "name"),
  ]);
  return section("people", "People", table("People and who they are in the destination", [["Name"], ["E-mail"], ["State"], ["In the destination"]], rows));
}
function leftBehind() {
  const marked = (report.marked || []).filter((item) => item.left_out).map((item) => ({ ...item, reason: `marked as ${item.kind} in the source` })); // older reports have none
  const rows = [...report.collections_left_behind, ...marked].sort((one, two) => two.rows - one.rows);
  const cells = rows.map((row) => [
    value(row.collection, "name"), row.rows < 0 ? "unknown" : count(row.rows),
    row.reason ? value(row.reason, "name") : el("span.chip.s-lost", {}, "no reason given"),
  ]);
  return rows.length ? section("left", "Collections left behind", table("Collections that are not migrated", [["Collection"], ["Rows", "number"], ["Why"]], cells)) : null;
}
function toKnow() {
  const counted = (rows) => rows.filter((row) => row[1] !== null && row[1] >= 0).map(([name, known]) => `${name}: ${name.includes(".") ? `${count(known)} filled` : many(known, "row")}`).join(", ");
  const rows = (report.to_know || []).map((item) => [value(item.platform, "name"), value(item.text, "name"), value(counted(item.rows), "name")]); // older reports have none
  return rows.length ? section("to-know", "To know", table("What the platforms do not hold, and what to check", [["Platform"], ["What"], ["Rows"]], rows)) : null;
}

// -- state of the page, kept in its address
const CHOICES = ["object", "state", "field", "reason"];
const view = { r: "", q: "", object: "", state: "", field: "", reason: "", page: 0 };
let shown = records.map((_, at) => at);
let current = -1; // place in `shown` that j and k move
let opened = false;
let returnTo = null;
let typing = 0; // the timer that waits for the end of typing

function hashWith(changes) {
  const parts = new URLSearchParams();
  for (const [key, part] of Object.entries({ ...view, ...changes })) if (part) parts.set(key, part);
  return parts.toString();
}
function readHash() {
  const parts = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(view)) view[key] = key === "page" ? Math.max(0, parseInt(parts.get(key), 10) || 0) : parts.get(key) || "";
  return parts.get("at");
}
function keepHash(push = false) {
  const hash = hashWith({});
  if (location.hash.slice(1) === hash) return;
  const address = hash ? `#${hash}` : location.pathname + location.search;
  try { history[push ? "pushState" : "replaceState"](null, "", address); } catch { /* too many in a moment for this browser: the next one is kept */ }
}

// -- records: filters
const haystacks = new Map();
function haystack(at) {
  if (!haystacks.has(at)) {
    const row = records[at];
    const parts = [row.title, row.key, row.dest_id, row.label, row.object, row.reason, row.why, row.file ? row.file.sha256 : ""];
    for (const field of row.fields) {
      parts.push(field.label, field.wanted, field.reason);
      if (field.live !== field.wanted) parts.push(field.live);
      for (const [path, text] of field.sources) if (text !== field.wanted) parts.push(path, text);
    }
    for (const [path, text] of row.unmapped) parts.push(path, text);
    haystacks.set(at, fold(parts.join("\n")));
  }
  return haystacks.get(at);
}

/** A reason without the values in it, so that alike reasons are one choice. */
const kindOf = (reason) => reason.slice(0, 300).replace(/'[^']*'|\S*\/\S+|\d+/g, "…");
const reasonsOf = (row) => [row.reason, ...row.fields.map((field) => field.reason)].filter(Boolean).map(kindOf);
function fits(row, at, words) {
  if (view.object && row.object !== view.object) return false;
  if (view.state && row.state !== view.state) return false;
  if (view.field === "unmapped" ? !row.unmapped.length : view.field && !row.fields.some((field) => field.state === view.field)) return false;
  if (view.reason && !reasonsOf(row).includes(view.reason)) return false;
  return !words.length || words.every((word) => haystack(at).includes(word));
}
function applyFilters() {
  const words = fold(view.q).split(/\s+/).filter(Boolean);
  shown = [];
  records.forEach((row, at) => { if (fits(row, at, words)) shown.push(at); });
  view.page = Math.min(view.page, Math.max(0, Math.ceil(shown.length / PAGE) - 1));
  current = -1;
  drawRows();
}
function choices(key, options) {
  const made = byId(`filter-${key}`);
  add(made, [el("option", { value: "" }, "any"), options.map(([name, text, number]) => el("option", { value: name }, `${text} (${count(number)})`))]);
  made.addEventListener("change", () => filter({ [key]: made.value }));
}
function tallied(names) {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) || 0) + 1);
  return [...counts].sort((one, two) => two[1] - one[1]);
}
function filter(changes) {
  Object.assign(view, changes, { page: 0 });
  applyFilters();
  keepHash();
}

/** Make the controls say what the view is; a choice that this report does not have is still named. */
function showFilters() {
  byId("search").value = view.q;
  for (const key of CHOICES) {
    const made = byId(`filter-${key}`);
    if (view[key] && ![...made.options].some((option) => option.value === view[key])) add(made, [el("option", { value: view[key] }, view[key])]);
    made.value = view[key];
  }
}
function search() {
  clearTimeout(typing);
  filter({ q: byId("search").value });
}
function clearFilters() {
  filter({ q: "", object: "", state: "", field: "", reason: "" });
  showFilters();
}
function setUpFilters() {
  const labels = new Map(records.map((row) => [row.object, row.label]));
  const fields = tallied(records.flatMap((row) => [...new Set(row.fields.map((item) => item.state))]));
  const unmapped = records.filter((row) => row.unmapped.length).length;
  const reasons = tallied(records.flatMap((row) => [...new Set(reasonsOf(row))])).slice(0, 200);
  choices("object", tallied(records.map((row) => row.object)).map(([name, number]) => [name, labels.get(name), number]));
  choices("state", tallied(records.map((row) => row.state)).map(([name, number]) => [name, name, number]));
  choices("field", [...fields.map(([name, number]) => [name, (FIELD_STATES[name] || [name])[0], number]), ...(unmapped ? [["unmapped", "in the source only", unmapped]] : [])]);
  choices("reason", reasons.map(([name, number]) => [name, name.slice(0, 90), number]));
  byId("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 120); });
  byId("clear").addEventListener("click", clearFilters);
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
}

// -- records: table
function recordRow(at) {
  const row = records[at];
  const states = {};
  for (const field of row.fields) states[field.state] = (states[field.state] || 0) + 1;
  const reason = row.reason || (row.fields.find((field) => ["lost", "changed_by_people"].includes(field.state)) || { reason: "" }).reason;
  const cells = [
    el("th", { scope: "row", "data-head": "Record" }, openLink(row, row.title || row.key), el("div.muted", {}, value(row.key, "key"))),
    el("td", { "data-head": "State" }, chip(row.state, RECORD_STATES)),
    el("td", { "data-head": "Object" }, value(row.label, "name")),
    el("td", { "data-head": "Id there" }, value(row.dest_id || "–", "key")),
    el("td.bars", { "data-head": "Fields" }, stateBar(states, FIELD_STATES), states.lost ? el(".why", {}, `${count(states.lost)} lost`) : null),
    el("td", { "data-head": "Reason" }, reason ? value(reason, "name") : null),
  ];
  return el("tr", { "data-at": at }, cells);
}
function drawRows(from = view.page * PAGE, size = PAGE) {
  const rows = shown.slice(from, from + size);
  byId("rows").replaceChildren(...rows.map(recordRow));
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  const range = rows.length ? `${count(from + 1)} to ${count(from + rows.length)} of ${count(shown.length)}` : "none";
  const text = `${shown.length === records.length ? "" : `${many(shown.length, "record")} found; `}showing ${range}`;
  byId("range").textContent = text;
  byId("spoken").textContent = text;
  [byId("previous").disabled, byId("next").disabled] = [view.page === 0, view.page >= pages - 1];
  byId("pager-text").textContent = `Page ${count(view.page + 1)} of ${count(pages)}`;
}
function turn(by) {
  view.page += by;
  current = view.page * PAGE;
  drawRows();
  keepHash();
  focusCurrent();
}
function setUpRecords() {
  const left = report.records_not_shown || 0;
  if (left) byId("left-out").textContent = `${many(left, "record")} more arrived, nothing was found about them, and they are only counted here.`;
  else if (!records.length) byId("left-out").textContent = "No records were compared.";
  byId("browser").hidden = !records.length;
  setUpFilters();
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
}

/** A click on a record's link or anywhere in its row; with a key held the browser opens the link itself. */
function clicked(event) {
  const place = event.target.closest("a[data-at], tr[data-at]");
  if (!place || event.ctrlKey || event.metaKey || event.shiftKey || (place.tagName === "TR" && String(getSelection()))) return;
  event.preventDefault();
  open(records[place.dataset.at], place.tagName === "TR" ? place.querySelector("a.open") : place);
}
function move(by) {
  if (!shown.length) return;
  const focused = document.activeElement && document.activeElement.closest("tr[data-at]");
  if (focused) current = shown.indexOf(Number(focused.dataset.at));
  else if (current < 0) current = view.page * PAGE - (by > 0 ? 1 : 0);
  current = Math.min(shown.length - 1, Math.max(0, current + by));
  const page = Math.floor(current / PAGE);
  if (page !== view.page) { view.page = page; drawRows(); keepHash(); }
  focusCurrent();
}
function focusCurrent() {
  const link = shown.length ? byId("rows").querySelector(`tr[data-at="${shown[current]}"] a.open`) : null;
  if (link) { link.focus({ preventScroll: true }); link.closest("tr").scrollIntoView({ block: "nearest" }); }
}

// -- one record side by side
/** A note as the destination shows it: known tags only, without any attribute, so that nothing in it can act or fetch. */
function note(text) {
  const bare = text.replace(STYLES, "").replace(ATTRIBUTES, "<$1>"); // or the policy would tell of each, though nothing of them is kept
  const parsed = new DOMParser().parseFromString(notePolicy.createHTML(bare), "text/html");
  return el("div.note", { role: "group", "aria-label": "as the destination shows it", dir: "auto", tabindex: 0 }, [...parsed.body.childNodes].map((node) => copied(node, 0)));
}
function copied(node, depth) {
  if (node.nodeType === Node.TEXT_NODE) return node.data;
  const tag = node.nodeType === Node.ELEMENT_NODE ? node.tagName.toUpperCase() : "SCRIPT";
  if (UNSHOWN.has(tag)) return null;
  if (depth > 60) return node.textContent;
  const inside = [...node.childNodes].map((child) => copied(child, depth + 1)).filter((child) => child !== null);
  return NOTE_TAGS.has(tag) ? el(tag === "A" ? "u" : tag.toLowerCase(), {}, inside) : inside;
}
function sourceCell(field) {
  if (!field.sources.length) return el("span.muted", {}, field.steps.length ? "the whole record" : "no source field");
  return el("dl.paths", {}, field.sources.map(([path, text]) => [el("dt", {}, value(path, "key")), el("dd", {}, value(text))]));
}
function destinationCell(field, row) {
  const held = row.state === "arrived";
  const isNote = field.steps.some((step) => HTML_STEP.test(step));
  const name = el(".label", {}, value(field.label, "name"), field.label === field.target ? null : el("span.muted", {}, " ", value(field.target, "key")));
  if (!field.wanted && !field.live) return [name, el("span.muted", {}, "nothing")];
  if (isNote) {
    const raw = el("details", {}, el("summary", {}, "Text as stored"), el("dl.paths", {}, pair("Wanted", field.wanted), held ? pair("Holds", field.live) : null));
    return [name, el(".muted", {}, held ? "As the destination shows it" : "As the destination would show it"), note(held ? field.live : field.wanted), raw];
  }
  if (held && field.wanted === field.live) return [name, value(field.live), el(".muted", {}, "held as wanted")];
  return [name, el("dl.paths", {}, pair("Wanted", field.wanted), held ? pair("Holds", field.live) : el("dd.muted", {}, "not in the destination"))];
}
const pair = (word, text) => [el("dt", {}, word), el("dd", {}, text ? value(text) : el("span.muted", {}, "nothing"))];
function fieldRow(field, row) {
  const noted = field.steps.some((step) => HTML_STEP.test(step)) ? ".noted" : "";
  return el(`div.field${noted}.b-${FIELD_STATES[field.state] ? field.state : "other"}`, { role: "row" },
    el("div.source", { role: "cell" }, sourceCell(field)),
    el("div.steps", { role: "cell" }, chip(field.state), field.steps.length ? el("ol", {}, field.steps.map((step) => el("li", {}, value(step, "key")))) : null, field.reason ? el(".why", {}, value(field.reason, "name")) : null),
    el("div.target", { role: "cell" }, destinationCell(field, row)));
}
function fieldTable(fields, row, label) {
  const heads = ["Source", "Steps and state", "Destination"].map((text) => el("div", { role: "columnheader" }, text));
  return el("div.fields", { role: "table", "aria-label": label }, el("div.field.heads", { role: "row" }, heads), fields.map((field) => fieldRow(field, row)));
}
function recordFacts(row) {
  const file = row.file;
  const name = file ? (row.fields.find((field) => field.steps.includes("download")) || { wanted: "" }).wanted : "";
  const facts = [
    ["State", chip(row.state, RECORD_STATES)], ["Reason", row.reason], ["Object", row.label], ["Source", row.key], ["Destination", row.dest_id ? `${row.resource} ${row.dest_id}` : ""],
    ["Why it is in the sample", row.why], ["File", file ? [name, file.size === undefined ? "" : `${count(file.size)} bytes`, file.type].filter(Boolean).join(", ") : ""], ["SHA-256", file ? file.sha256 : ""],
  ];
  return el("dl.facts", {}, facts.filter(([, text]) => text).map(([word, text]) => el("div", {}, el("dt", {}, word), el("dd", {}, typeof text === "string" ? value(text, "name") : text))));
}
function unmappedPart(row) {
  if (!row.unmapped.length) return el("p.muted", {}, "Every filled source field is mapped, or the mapping says why it is left out.");
  return el("div", {}, el("h3", {}, `Unmapped source fields (${count(row.unmapped.length)})`), el("dl.paths", {}, row.unmapped.map(([path, text]) => [el("dt", {}, value(path, "key")), el("dd", {}, value(text))])));
}
function recordBody(row) {
  const filled = row.fields.filter((field) => field.state !== "empty");
  const empty = row.fields.filter((field) => field.state === "empty");
  const rest = empty.length ? el("details.empty", {}, el("summary", {}, many(empty.length, "empty field")), fieldTable(empty, row, "Empty fields")) : "";
  return [recordFacts(row), fieldTable(filled, row, "Fields side by side"), unmappedPart(row), rest];
}
function open(row, from) {
  const dialog = byId("record");
  view.r = dialog.dataset.id = recordId(row.object, row.key);
  if (!opened) returnTo = from || document.activeElement;
  const at = shown.indexOf(indexOf.get(view.r));
  if (at >= 0) current = at;
  byId("record-title").replaceChildren(value(row.title || row.key, "name"));
  [byId("before").disabled, byId("after").disabled] = [at <= 0, at < 0 || at >= shown.length - 1];
  byId("body").replaceChildren(...recordBody(row));
  byId("body").scrollTop = 0;
  keepHash(!opened);
  if (!opened) dialog.showModal();
  opened = true;
  byId("body").focus();
}
function setUpDialog() {
  byId("before").addEventListener("click", () => step(-1));
  byId("after").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => byId("record").close());
  byId("record").addEventListener("close", closed);
  byId("record").addEventListener("keydown", trap);
}
function step(by) {
  const at = shown.indexOf(indexOf.get(view.r)) + by;
  if (at >= 0 && at < shown.length) open(records[shown[at]]);
}
function closed() {
  opened = false;
  view.r = "";
  const page = Math.floor(Math.max(0, current) / PAGE);
  if (page !== view.page && current >= 0) { view.page = page; drawRows(); }
  keepHash();
  if (returnTo && returnTo.isConnected && returnTo !== document.body && !returnTo.closest("tr")) returnTo.focus();
  else focusCurrent();
  returnTo = null;
}
function trap(event) {
  if (event.key !== "Tab") return;
  const stops = [...byId("record").querySelectorAll("button:not(:disabled), [tabindex='0'], summary")].filter((node) => node.checkVisibility());
  const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
  if (document.activeElement !== edge && stops.includes(document.activeElement)) return;
  event.preventDefault();
  stops[event.shiftKey ? stops.length - 1 : 0].focus();
}

// -- keys, address, paper
function keyPressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const control = event.target.closest("input, select, textarea");
  const by = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (control) {
    if (control.id !== "search" || !["ArrowDown", "Enter"].includes(event.key)) return;
    event.preventDefault();
    search();
    move(1);
  } else if (opened) {
    if (event.key === "j" || event.key === "k") step(by);
  } else if (event.key === "/" && records.length) {
    event.preventDefault();
    byId("search").focus();
  } else if (by && records.length && (event.key.length === 1 || event.target.closest("tr[data-at]"))) {
    event.preventDefault();
    move(by);
  }
}
function showAddress() {
  const before = hashWith({ r: "" });
  const at = readHash();
  if (at) { goTo(at); return; }
  const row = records[indexOf.get(view.r)];
  if (hashWith({ r: "" }) !== before) { showFilters(); applyFilters(); }
  if (row && (!opened || byId("record").dataset.id !== view.r)) open(row);
  else if (!row && opened) byId("record").close();
}
function goTo(id) {
  const title = byId(`${id}-title`);
  if (!title) return;
  title.scrollIntoView({ block: "start" });
  title.focus({ preventScroll: true });
}
function navigation() {
  const links = [...document.querySelectorAll("main > section")].map((part) => [part.id, part.querySelector("h2").textContent.replace(/ \(.*/, "")]);
  const named = links.map(([id, text]) => el("li", {}, el("a", { href: `#at=${id}`, onclick: (event) => { event.preventDefault(); goTo(id); } }, id === "verdict" ? "Verdict" : text)));
  byId("nav").append(el("ul", {}, named));
}
function start() {
  readHash();
  heading();
  const charts = el(".charts", {}, recordChart(), mappedChart(), el("div", {}, Object.values(report.accounts).map(limitChart), el("p.muted", {}, "The bars show what was used of the window open when the run ended, by this run and by others; short windows empty themselves.")));
  const parts = [verdict(), moneyTable(), attentionList(), sampleSection(), objectTable(), section("charts", "Volume and limits", charts), peopleTable(), leftBehind(), toKnow()];
  byId("main").prepend(...parts.filter(Boolean));
  setUpRecords();
  setUpDialog();
  navigation();
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); goTo("records"); });
  byId("main").addEventListener("click", clicked);
  document.addEventListener("keydown", keyPressed);
  addEventListener("hashchange", showAddress);
  addEventListener("beforeprint", () => { if (!opened) drawRows(0, PRINTED); });
  addEventListener("afterprint", () => { if (!opened) drawRows(); });
  showFilters();
  applyFilters();
  const row = records[indexOf.get(view.r)];
  if (row) open(row);
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();
