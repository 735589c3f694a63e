// A migration plan: its charts, rows and decisions, and the progress of its run.

const PLAN_ROW_PX = 52;
const PAGE = 100;
const SAMPLE_PX = 192;
const SMALL_PX = 96;
const [NUMBER, FOLDER, NAME, SIZE, PATIENT, TAKEN, DESTINATION, VERDICT, REASON] = Array(9).keys();
const FACETS = { verdict: "Verdict", reason: "Reason", year: "Year taken", patient: "Patient", size: "Size" };
const VERDICTS = { import: "Import", wait: "Wait", arriving: "Empty", finish: "In the record", ignore: "Leave out" };
const VERDICT_ICONS = { import: "play", wait: "waiting", arriving: "arriving", finish: "imported", ignore: "ignored" };
const VERDICT_TONES = { import: "import", wait: "wait", arriving: "arriving", finish: "imported", ignore: "ignored" };
const RUN_WORDS = { running: "Running", paused: "Paused", done: "Done", cancelled: "Cancelled", failed: "Failed" };

function renderPlan({ model, el }) {
  const me = unique("view") + Math.random().toString(36).slice(2);
  const send = (kind, content = {}) => model.send({ kind, ...content });
  const root = widgetRoot("itx-plan", model.get("height_px"));
  const pictures = pictureStore(400);
  let reasons = {};
  let review = 0;
  let total = 0;
  let whole = 0;
  let rows = new Map();
  let asked = new Set();
  let dates = dateFormat();
  let where = {};
  let run = null;
  let canRun = false;

  // --- the head
  const tally = h("span", { class: "itx-muted" });
  const filter = h("input", { type: "search", class: "itx-input itx-filter", placeholder: "Filter by path", "aria-label": "Filter by path" });
  let typing = 0;
  filter.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(look, 250);
  });
  const dry = button("Dry run", { on: () => send("run", { dry: true }), title: "Show what a run would do, without reading, copying or moving files", class: "itx-button itx-plain itx-dry" });
  const go = button("Run", { icon: "play", on: () => askToRun(), class: "itx-button itx-primary itx-run" });

  // --- the run
  const runText = h("span", { class: "itx-banner-text" });
  const runCounts = h("span", { class: "itx-muted" });
  const meter = h("div", { class: "itx-meter", role: "progressbar", "aria-label": "Run", "aria-valuemin": "0", "data-known": "" }, h("div", {}));
  const pause = button("Pause", { icon: "pause", kind: "quiet", on: () => send(run?.state === "paused" ? "resume" : "pause"), class: "itx-button itx-quiet itx-pause" });
  const cancel = button("Cancel", { icon: "stop", kind: "quiet", title: "Start no more files; a later run continues from here", on: () => send("cancel"), class: "itx-button itx-quiet itx-cancel-run" });
  const runBar = h("div", { class: "itx-banner itx-run-bar", role: "status", hidden: true }, runText, meter, runCounts, pause, cancel);
  const { element: notices, notice } = noticeBoard();
  const { query, answers } = questions(send, notice);
  function showRun(message) {
    run = message;
    const active = message.state === "running" || message.state === "paused";
    runBar.hidden = false;
    runBar.dataset.state = message.state;
    setText(runText, `${message.dry ? "Dry run: " : ""}${RUN_WORDS[message.state]} · ${message.done.toLocaleString("en")} of ${count(message.total, "file")}`);
    setText(runCounts, Object.entries(message.counts).map(([state, number]) => `${number.toLocaleString("en")} ${state}`).join(" · "));
    meter.firstChild.style.width = `${message.total ? Math.min(100, (100 * message.done) / message.total) : active ? 0 : 100}%`;
    meter.setAttribute("aria-valuemax", message.total);
    meter.setAttribute("aria-valuenow", message.done);
    pause.hidden = cancel.hidden = !active;
    setText(pause.lastChild, message.state === "paused" ? "Resume" : "Pause");
    redraw(pause.firstChild, message.state === "paused" ? "play" : "pause");
    go.disabled = dry.disabled = active || !canRun;
    if (active) return;
    if (message.problem) notice("bad", message.problem);
    else if (message.closes === true) notice("good", "The certificate closes: every file of the plan has exactly one outcome, and was found where it should be.");
    else if (message.closes === false) notice("warn", "The certificate does not close yet. It lists the open points and what to do.");
  }
  async function askToRun() {
    const text = `All files that this plan imports are ${mode === "copy" ? "copied" : "moved"} into the patients’ records, including files that are not shown here.`;
    if (await ask(root, { title: "Run the plan?", body: [h("p", { text })], proceed: "Run", tone: "warn" })) send("run", { dry: false });
  }
  let mode = "";

  // --- the charts
  const charts = h("aside", { class: "itx-charts", "aria-label": "Overview" });
  const filters = h("div", { class: "itx-chips itx-active" });
  const wordFor = (facet, value) =>
    facet === "verdict" ? VERDICTS[value] ?? value : facet === "reason" ? reasons[value] ?? value : facet === "patient" && !value ? "no patient" : value;
  function showCharts(facets) {
    charts.replaceChildren(
      ...Object.entries(FACETS).map(([facet, label]) => {
        const bars = facets[facet];
        const most = Math.max(1, ...bars.map(([, number]) => number));
        return h(
          "section",
          { class: "itx-chart", "data-facet": facet },
          h("h3", { text: label }),
          ...bars.map(([value, number]) => {
            const bar = h("span", { class: "itx-bar" });
            bar.style.width = `${Math.max(1.5, (100 * number) / most)}%`;
            const on = where[facet] === value;
            return h(
              "button",
              { type: "button", class: `itx-bar-row${facet === "verdict" ? ` itx-bar-${VERDICT_TONES[value]}` : ""}`, "aria-pressed": String(on), disabled: !value, title: wordFor(facet, value), "data-value": value, on: { click: () => narrow(facet, on ? null : value) } },
              h("span", { class: "itx-bar-label", text: wordFor(facet, value) }),
              h("span", { class: "itx-bar-count", text: number.toLocaleString("en") }),
              bar,
            );
          }),
        );
      }),
    );
    filters.replaceChildren(
      ...Object.entries(where).map(([facet, value]) =>
        h("button", { type: "button", class: "itx-chip", "aria-pressed": "true", title: "Remove this filter", on: { click: () => narrow(facet, null) } }, h("span", { text: `${FACETS[facet]}: ${wordFor(facet, value)}` }), icon("close", 13)),
      ),
    );
    filters.hidden = !Object.keys(where).length;
  }
  function narrow(facet, value) {
    where = { ...where, [facet]: value };
    if (value === null) delete where[facet];
    look();
  }
  let isNewReview = false;
  function look() {
    isNewReview = true;
    root.setAttribute("aria-busy", "true");
    send("review", { where, path: filter.value.trim() });
  }

  // --- samples
  const samples = h("div", { class: "itx-samples", role: "list", "aria-label": "Samples" });
  let sampleFrames = [];
  function showSamples(numbers) {
    sampleFrames = numbers.map((number) => ({ number, ...frame("itx-sample") }));
    samples.replaceChildren(...sampleFrames.map(({ element }) => h("div", { role: "listitem" }, element)));
    samples.hidden = !numbers.length;
    fillSamples();
    const missing = numbers.filter((number) => pictures.get(`${number}/${SAMPLE_PX}`) === undefined);
    send("pictures", { view: me, for: "samples", rows: missing, px: SAMPLE_PX });
  }
  const fillSamples = () => sampleFrames.forEach(({ number, show }) => show(pictures.get(`${number}/${SAMPLE_PX}`), "images"));

  // --- the rows
  const head = h("div", { class: "itx-row itx-head", role: "row" }, ...["", "File", "Patient", "Taken", "Verdict", ""].map((text) => h("span", { role: "columnheader", text })));
  const grid = makeGrid({ label: "Files of the plan", rowHeight: PLAN_ROW_PX, head, build: buildRow, onView: want, onAt: () => {}, onKey });
  const empty = h("div", { class: "itx-empty", hidden: true }, icon("search", 34), h("strong", { text: "No file matches the filters" }), h("span", { class: "itx-muted", text: "Remove a filter to see more files." }));

  function buildRow() {
    const thumb = frame("itx-thumb");
    const name = h("span", { class: "itx-name" });
    const folder = h("span", { class: "itx-muted" });
    const patient = h("span", {});
    const taken = h("span", { class: "itx-muted" });
    const pill = h("span", {}, icon("waiting", 14), h("span", {}));
    const why = h("span", { class: "itx-why" });
    const decide = button("Decide", { kind: "quiet", tabindex: "-1", on: (event) => (event.stopPropagation(), decideRow(rows.get(row.position))) });
    const cell = (...children) => h("span", { role: "gridcell", class: "itx-two" }, ...children);
    const element = h("div", { class: "itx-row", role: "row" }, h("span", { role: "gridcell" }, thumb.element), cell(name, folder), cell(patient), cell(taken), h("span", { role: "gridcell", class: "itx-two itx-verdict" }, h("span", { class: "itx-line" }, pill), why), h("span", { role: "gridcell" }, decide));
    element.addEventListener("click", () => (grid.move(row.position), grid.element.focus({ preventScroll: true })));
    const row = {
      element,
      fill(position) {
        const line = rows.get(position);
        element.classList.toggle("itx-coming", !line);
        if (!line) return;
        thumb.show(pictures.get(`${line[NUMBER]}/${SMALL_PX}`), line[DESTINATION]);
        setText(name, line[NAME]);
        setText(folder, line[FOLDER]);
        element.title = `${line[FOLDER]}/${line[NAME]} · ${sizeText(line[SIZE])}`;
        setText(patient, line[PATIENT] ?? "");
        setText(taken, line[TAKEN] === null ? "" : dates.format(line[TAKEN]));
        pill.className = `itx-pill itx-pill-${VERDICT_TONES[line[VERDICT]]}`;
        redraw(pill.firstChild, VERDICT_ICONS[line[VERDICT]]);
        setText(pill.lastChild, VERDICTS[line[VERDICT]] ?? line[VERDICT]);
        setText(why, reasons[line[REASON]] ?? "");
      },
    };
    return row;
  }
  let wanted = "";
  let wantTimer = 0;
  function want(first, last) {
    for (let page = Math.floor(first / PAGE); page * PAGE < last; page++) {
      if (asked.has(page)) continue;
      asked.add(page);
      send("window", { review, start: page * PAGE, stop: (page + 1) * PAGE });
    }
    const missing = [];
    for (let position = first; position < last; position++) {
      const line = rows.get(position);
      if (line && pictures.get(`${line[NUMBER]}/${SMALL_PX}`) === undefined) missing.push(line[NUMBER]);
    }
    const key = missing.join();
    if (key === wanted) return;
    clearTimeout(wantTimer);
    wantTimer = setTimeout(() => {
      wanted = key;
      if (missing.length) send("pictures", { view: me, for: "rows", rows: missing, px: SMALL_PX });
    }, 80);
  }
  function onKey(event, moved) {
    if (moved) return true;
    if (event.key === "Enter" && rows.get(grid.at)) decideRow(rows.get(grid.at));
    else return false;
    return true;
  }

  // --- decisions
  const decideText = h("span", { class: "itx-decide-text" });
  const decideAll = button("Decide for all of them", { on: () => decideAbout(null, `${count(total, "file")} shown`), class: "itx-button itx-plain itx-decide-all" });
  const decisions = h("span", { class: "itx-muted" });
  const decideBar = h("div", { class: "itx-decide" }, decideText, decisions, h("span", { class: "itx-grow" }), decideAll);
  const decideRow = (line) => decideAbout(line[NUMBER], line[NAME]);
  async function decideAbout(row, what) {
    let choice = "leave_out";
    const patient = patientField({ search: async (text) => (await query("patients", { text })).patients, onChoose: (chosen) => chosen && pick("patient"), onLeave: () => {} });
    const name = unique("decision");
    const options = { patient: "Import for this patient:", accept_content: "Import even if the content is damaged or a duplicate.", leave_out: "Do not import.", restore: "Use the original decision of the plan." };
    const radios = Object.fromEntries(Object.keys(options).map((key) => [key, h("input", { type: "radio", name, value: key, class: "itx-radio", on: { change: () => (choice = key) } })]));
    const pick = (key) => ((radios[key].checked = true), (choice = key));
    const body = [h("p", {}, "Decide for ", h("strong", { text: what }), ":"), ...Object.entries(options).map(([key, label]) => h("div", {}, h("label", { class: "itx-option-line" }, radios[key], h("span", { text: label })), key === "patient" ? patient.element : null))];
    pick("leave_out");
    const on = review;
    if (!(await ask(root, { title: "Decide", body, proceed: "Decide", tone: "plain" }))) return;
    if (choice === "patient" && !patient.chosen) return notice("bad", "No patient was chosen. Nothing was changed.");
    const answer = await query("decide", { review: on, row, decision: choice, patient: patient.chosen?.id });
    if (answer.kind !== "decided") return notice("bad", answer.text);
    if (!answer.count) return notice("warn", "Nothing was changed: these files are in the records already, or can't be imported.");
    notice("good", `The decision is saved for ${count(answer.count, "file")}.`);
  }

  // --- messages from Python
  const handlers = {
    ...answers,
    hello(message) {
      ({ reasons, mode } = message);
      whole = message.total;
      dates = dateFormat(message.zone, { dateStyle: "medium" });
      canRun = message.runs;
      go.disabled = dry.disabled = !canRun;
      if (!canRun) go.title = dry.title = "To run the plan, create the widget with the records: PlanWidget(plan, records)";
    },
    reviewed(message) {
      root.setAttribute("aria-busy", "false");
      ({ review, total } = message);
      rows = new Map();
      asked = new Set();
      wanted = "";
      setText(tally, `${count(whole, "file")} · ${mode === "copy" ? "copied; the archive stays unchanged" : "moved out of the archive"}`);
      setText(decideText, total === whole ? `All ${count(total, "file")} · ${sizeText(message.size_bytes)}` : `${count(total, "file")} of ${whole.toLocaleString("en")} · ${sizeText(message.size_bytes)}`);
      setText(decisions, message.decisions ? count(message.decisions, "decision") + " saved" : "");
      decideAll.disabled = !total;
      showCharts(message.facets);
      showSamples(message.samples);
      empty.hidden = total > 0;
      grid.setTotal(total);
      if (isNewReview) grid.toTop();
      isNewReview = false;
    },
    window(message) {
      if (message.review !== review) return;
      message.lines.forEach((line, offset) => rows.set(message.start + offset, line));
      grid.update();
    },
    pictures(message, buffers) {
      message.shown.forEach(([, number, px], position) => pictures.put(`${number}/${px}`, buffers[position]));
      for (const [, number, px] of message.none) pictures.put(`${number}/${px}`, null);
      fillSamples();
      grid.update();
    },
    run: showRun,
  };

  // --- layout
  const list = h("div", { class: "itx-list" }, filters, samples, grid.element, empty, decideBar);
  root.append(h("header", { class: "itx-top" }, h("h2", { text: "Migration plan" }), tally, h("span", { class: "itx-grow" }), filter, dry, go), runBar, notices, h("div", { class: "itx-main" }, charts, list));
  return mount({ model, el }, root, handlers, () => {
    for (const timer of [typing, wantTimer]) clearTimeout(timer);
    for (const what of ["rows", "samples"]) send("pictures", { view: me, for: what, rows: [], px: what === "rows" ? SMALL_PX : SAMPLE_PX });
    grid.close();
    pictures.clear();
  });
}

export default { render: renderPlan };
