// A plan: what there is of each kind, the rows, what people decide, and how far its run has come.

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
  const { query, settle } = questions(send);

  // --- the head
  const tally = h("span", { class: "itx-muted" });
  const filter = h("input", { type: "search", class: "itx-input itx-filter", placeholder: "Filter by path", "aria-label": "Filter by path" });
  let typing = 0;
  filter.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(look, 250);
  });
  const dry = button("Dry run", { on: () => send("run", { dry: true }), title: "See what would be done; nothing is read, copied or moved", class: "itx-button itx-plain itx-dry" });
  const go = button("Run", { icon: "play", on: () => askToRun(), class: "itx-button itx-primary itx-run" });

  // --- the run
  const runText = h("span", { class: "itx-banner-text" });
  const runCounts = h("span", { class: "itx-muted" });
  const meter = h("div", { class: "itx-meter", role: "progressbar", "aria-label": "Run", "aria-valuemin": "0", "data-known": "" }, h("div", {}));
  const pause = button("Pause", { icon: "pause", kind: "quiet", on: () => send(run?.state === "paused" ? "resume" : "pause"), class: "itx-button itx-quiet itx-pause" });
  const cancel = button("Cancel", { icon: "stop", kind: "quiet", title: "Begin no more files; a later run goes on from here", on: () => send("cancel"), class: "itx-button itx-quiet itx-cancel-run" });
  const runBar = h("div", { class: "itx-banner itx-run-bar", role: "status", hidden: true }, runText, meter, runCounts, pause, cancel);
  const { element: notices, notice } = noticeBoard();
  function showRun(said) {
    run = said;
    const under = said.state === "running" || said.state === "paused";
    runBar.hidden = false;
    runBar.dataset.state = said.state;
    say(runText, `${said.dry ? "Dry run: " : ""}${RUN_WORDS[said.state]} · ${said.done.toLocaleString("en")} of ${count(said.total, "file")}`);
    say(runCounts, Object.entries(said.counts).map(([state, number]) => `${number.toLocaleString("en")} ${state}`).join(" · "));
    meter.firstChild.style.width = `${said.total ? Math.min(100, (100 * said.done) / said.total) : under ? 0 : 100}%`;
    meter.setAttribute("aria-valuemax", said.total);
    meter.setAttribute("aria-valuenow", said.done);
    pause.hidden = cancel.hidden = !under;
    say(pause.lastChild, said.state === "paused" ? "Resume" : "Pause");
    redraw(pause.firstChild, said.state === "paused" ? "play" : "pause");
    go.disabled = dry.disabled = under || !canRun;
    if (under) return;
    if (said.problem) notice("bad", said.problem);
    else if (said.closes === true) notice("good", "The certificate closes: every file of the plan has exactly one outcome.");
    else if (said.closes === false) notice("warn", "The certificate does not close yet. It says which files; run the plan again.");
  }
  async function askToRun() {
    const text = `The files that this plan imports are ${mode === "copy" ? "copied" : "moved"} into the patients’ records, whatever is filtered here.`;
    if (await ask(root, { title: `Run the plan?`, body: [h("p", { text })], proceed: "Run", tone: "warn" })) send("run", { dry: false });
  }
  let mode = "";

  // --- the charts
  const charts = h("aside", { class: "itx-charts", "aria-label": "What there is" });
  const active = h("div", { class: "itx-chips itx-active" });
  const wordFor = (facet, value) =>
    facet === "verdict" ? VERDICTS[value] ?? value : facet === "reason" ? reasons[value] ?? value : facet === "patient" && !value ? "nobody" : value;
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
    active.replaceChildren(
      ...Object.entries(where).map(([facet, value]) =>
        h("button", { type: "button", class: "itx-chip", "aria-pressed": "true", title: "No longer filter by this", on: { click: () => narrow(facet, null) } }, h("span", { text: `${FACETS[facet]}: ${wordFor(facet, value)}` }), icon("close", 13)),
      ),
    );
    active.hidden = !Object.keys(where).length;
  }
  function narrow(facet, value) {
    where = { ...where, [facet]: value };
    if (value === null) delete where[facet];
    look();
  }
  let other = false;
  function look() {
    other = true;
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
  const empty = h("div", { class: "itx-empty", hidden: true }, icon("search", 34), h("strong", { text: "No file meets this" }), h("span", { class: "itx-muted", text: "Take a filter away to see more." }));

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
        say(name, line[NAME]);
        say(folder, line[FOLDER]);
        element.title = `${line[FOLDER]}/${line[NAME]} · ${sizeText(line[SIZE])}`;
        say(patient, line[PATIENT] ?? "");
        say(taken, line[TAKEN] === null ? "" : dates.format(line[TAKEN]));
        pill.className = `itx-pill itx-pill-${VERDICT_TONES[line[VERDICT]]}`;
        redraw(pill.firstChild, VERDICT_ICONS[line[VERDICT]]);
        say(pill.lastChild, VERDICTS[line[VERDICT]] ?? line[VERDICT]);
        say(why, reasons[line[REASON]] ?? "");
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
  const decideAll = button("Decide about all of them", { on: () => decideAbout(null, `${count(total, "file")} shown`), class: "itx-button itx-plain itx-decide-all" });
  const decisions = h("span", { class: "itx-muted" });
  const decideBar = h("div", { class: "itx-decide" }, decideText, decisions, h("span", { class: "itx-grow" }), decideAll);
  const decideRow = (line) => decideAbout(line[NUMBER], line[NAME]);
  async function decideAbout(row, what) {
    let choice = "leave_out";
    const patient = patientField({ search: async (text) => (await query("patients", { text })).patients, onChoose: (chosen) => chosen && pick("patient"), onLeave: () => {} });
    const name = unique("decision");
    const options = { patient: "They are this patient’s, and are imported:", leave_out: "They are not imported.", restore: "What the plan said at first holds again." };
    const radios = Object.fromEntries(Object.keys(options).map((key) => [key, h("input", { type: "radio", name, value: key, class: "itx-radio", on: { change: () => (choice = key) } })]));
    const pick = (key) => ((radios[key].checked = true), (choice = key));
    const body = [h("p", {}, "About ", h("strong", { text: what }), ":"), ...Object.entries(options).map(([key, label]) => h("div", {}, h("label", { class: "itx-option-line" }, radios[key], h("span", { text: label })), key === "patient" ? patient.element : null))];
    pick("leave_out");
    const on = review;
    if (!(await ask(root, { title: "Decide", body, proceed: "Decide", tone: "plain" }))) return;
    if (choice === "patient" && !patient.chosen) return notice("bad", "No patient was chosen: nothing was decided.");
    const answer = await query("decide", { review: on, row, decision: choice, patient: patient.chosen?.id });
    if (answer.kind === "decided") notice("good", `Decided about ${count(answer.count, "file")}.`);
    else notice("bad", answer.text);
  }

  // --- what Python says
  const answers = {
    hello(said) {
      ({ reasons, mode } = said);
      whole = said.total;
      dates = dateFormat(said.zone, { dateStyle: "medium" });
      canRun = said.runs;
      go.disabled = dry.disabled = !canRun;
      if (!canRun) go.title = dry.title = "To run it, give the widget the records: PlanWidget(plan, records)";
    },
    reviewed(said) {
      root.setAttribute("aria-busy", "false");
      ({ review, total } = said);
      rows = new Map();
      asked = new Set();
      wanted = "";
      say(tally, `${count(whole, "file")} · ${mode === "copy" ? "copied, the archive stays as it is" : "moved out of the archive"}`);
      say(decideText, total === whole ? `All ${count(total, "file")} · ${sizeText(said.size_bytes)}` : `${count(total, "file")} of ${whole.toLocaleString("en")} · ${sizeText(said.size_bytes)}`);
      say(decisions, said.decisions ? count(said.decisions, "decision") + " kept" : "");
      decideAll.disabled = !total;
      showCharts(said.facets);
      showSamples(said.samples);
      empty.hidden = total > 0;
      grid.setTotal(total);
      if (other) grid.toTop();
      other = false;
    },
    window(said) {
      if (said.review !== review) return;
      said.lines.forEach((line, offset) => rows.set(said.start + offset, line));
      grid.update();
    },
    pictures(said, buffers) {
      said.shown.forEach(([, number, px], position) => pictures.put(`${number}/${px}`, buffers[position]));
      for (const [, number, px] of said.none) pictures.put(`${number}/${px}`, null);
      fillSamples();
      grid.update();
    },
    run: showRun,
    patients: (said) => settle(said),
    decided: (said) => settle(said),
    refused: (said) => settle(said) || notice("bad", said.text),
    trouble: (said) => settle(said) || notice("bad", said.text),
  };
  const onMessage = (said, buffers) => answers[said.kind]?.(said, buffers ?? []);

  // --- all together
  const list = h("div", { class: "itx-list" }, active, samples, grid.element, empty, decideBar);
  root.append(h("header", { class: "itx-top" }, h("h2", { text: "Migration plan" }), tally, h("span", { class: "itx-grow" }), filter, dry, go), runBar, notices, h("div", { class: "itx-main" }, charts, list));
  el.append(root);
  const endTheme = followTheme(root);
  model.on("msg:custom", onMessage);
  send("open");
  return () => {
    model.off("msg:custom", onMessage);
    for (const timer of [typing, wantTimer]) clearTimeout(timer);
    for (const what of ["rows", "samples"]) send("pictures", { view: me, for: what, rows: [], px: what === "rows" ? SMALL_PX : SAMPLE_PX });
    grid.close();
    endTheme();
    pictures.clear();
    root.remove();
  };
}

export default { render: renderPlan };
