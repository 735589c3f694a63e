// The inbox: shows the list that Python sends, and sends the requests of the user.

const ROW_PX = 60;
const THUMB_PX = 112;
const PREVIEW_PX = 640;

function renderInbox({ model, el }) {
  const me = unique("view") + Math.random().toString(36).slice(2);
  const send = (kind, content = {}) => model.send({ kind, ...content });
  const root = widgetRoot("itx-inbox", model.get("height_px"));
  const pictures = pictureStore();

  // --- state
  let generation = 0;
  let lines = [];
  let sources = [];
  let reasons = {};
  let dates = dateFormat();
  let withPictures = true;
  let connected = false;
  let order = [];
  let busy = { refreshing: false, saving: false };
  let show = "open";
  let sort = ["", 1]; // a key of SORTS, and the direction
  let anchor = -1;
  const selected = new Set();

  // --- the head
  const tally = h("span", { class: "itx-muted itx-tally" });
  const refresh = button("Refresh", { icon: "refresh", title: "Import files whose name identifies the patient, and list the others", on: () => send("refresh"), class: "itx-button itx-plain itx-refresh" });
  const filter = h("input", { type: "search", class: "itx-input itx-filter", placeholder: "Filter by file name", "aria-label": "Filter by file name", on: { input: () => arrange() } });
  const tabs = h("div", { class: "itx-tabs", role: "tablist", "aria-label": "Views" });
  const inboxTab = counted("Inbox", () => showTab("inbox"), { role: "tab", class: "itx-tab" });
  const filedTab = counted("Recently filed", () => showTab("filed"), { role: "tab", class: "itx-tab" });
  tabs.append(inboxTab.element, filedTab.element);
  const chips = h("div", { class: "itx-chips", role: "toolbar", "aria-label": "Show" });
  const chipOf = Object.fromEntries(Object.entries(SHOWN).map(([key, [label]]) => [key, counted(label, () => ((show = key), arrange()), { class: "itx-chip" })]));
  chips.append(...Object.values(chipOf).map(({ element }) => element));

  function counted(label, on, attributes) {
    const number = h("span", { class: "itx-count" });
    return { element: h("button", { type: "button", on: { click: on }, ...attributes }, h("span", { text: label }), number), number };
  }

  // --- progress and messages
  const meter = h("div", { class: "itx-meter", role: "progressbar", "aria-valuemin": "0" }, h("div", {}));
  const bannerText = h("span", { class: "itx-banner-text" });
  const stop = button("Stop", { icon: "stop", kind: "quiet", title: "Files that are not started stay in their folder", on: () => send("cancel") });
  const banner = h("div", { class: "itx-banner", role: "status", hidden: true }, h("span", { class: "itx-spinner" }), bannerText, meter, stop);
  const { element: notices, notice } = noticeBoard();
  const { query, answers } = questions(send, notice);
  const problems = h("div", { class: "itx-notices" });

  function showProblems(list) {
    problems.replaceChildren(
      ...list.map((problem) =>
        h("div", { class: "itx-notice itx-tone-warn", role: "alert" }, icon(problem.location, 18),
          h("span", { class: "itx-notice-text" }, h("strong", { text: `${locationName(problem.location)}: ` }), `${problem.text} ${problem.retry_helps ? "The next refresh tries again." : ""}`)),
      ),
    );
  }

  // --- the list
  const all = h("input", { type: "checkbox", class: "itx-check", "aria-label": "Select all shown files", tabindex: "-1", on: { change: () => selectAll(all.checked) } });
  const sortHead = (key, label) => h("button", { type: "button", class: "itx-sort", "data-key": key, tabindex: "-1", on: { click: () => ((sort = [key, sort[0] === key ? -sort[1] : 1]), arrange()) } }, label);
  const head = h(
    "div",
    { class: "itx-row itx-head", role: "row" },
    h("span", { role: "columnheader" }, all),
    h("span", { role: "columnheader" }),
    h("span", { role: "columnheader" }, sortHead("name", "File"), sortHead("time", "Date"), sortHead("size", "Size")),
    h("span", { role: "columnheader" }, sortHead("from", "From")),
    h("span", { role: "columnheader", class: "itx-col-to" }, sortHead("to", "Goes to")),
    h("span", { role: "columnheader" }, sortHead("status", "Status")),
  );
  const grid = makeGrid({ label: "Files", rowHeight: ROW_PX, head, build: buildRow, onView: wantPictures, onAt: showPreview, onKey: onGridKey });
  const empty = h("div", { class: "itx-empty" });

  function buildRow() {
    return inboxRow({
      look(position) {
        const index = order[position];
        const line = lines[index];
        if (!line) return null;
        const picture = withPictures ? pictures.get(`${index}/${THUMB_PX}`) : null;
        return { line, source: sources[line[SOURCE]], reason: reasons[line[REASON]], picture, dates, isSelected: selected.has(index), isSaving: busy.saving };
      },
      toggle,
      range,
      goTo(position, focus) {
        grid.move(position);
        if (focus) grid.element.focus({ preventScroll: true });
      },
      undo(position) {
        const line = lines[order[position]];
        if (line?.[PATIENT]) undo(line[NAME], line[PATIENT], { generation, row: order[position] });
      },
    });
  }

  function arrange() {
    const focused = order[grid.at];
    const { order: next, counts } = arranged(lines, { show, text: filter.value.trim().toLowerCase(), sort });
    order = next;
    for (const [key, { element, number }] of Object.entries(chipOf)) {
      setText(number, counts[key].toLocaleString("en"));
      element.setAttribute("aria-pressed", String(show === key));
      element.hidden = !counts[key] && show !== key && key !== "open";
    }
    for (const each of head.querySelectorAll(".itx-sort")) {
      each.dataset.sorted = each.dataset.key === sort[0] ? (sort[1] > 0 ? "up" : "down") : "";
      const up = sort[1] > 0 ? "ascending" : "descending";
      if (each === each.parentElement.firstChild) each.parentElement.setAttribute("aria-sort", each.dataset.key === sort[0] ? up : "none");
    }
    setText(tally, lines.length ? count(lines.length, "file") : "");
    inboxTab.number.hidden = !counts.open;
    setText(inboxTab.number, counts.open.toLocaleString("en"));
    grid.setTotal(order.length);
    const position = focused === undefined ? -1 : order.indexOf(focused);
    if (position !== grid.at) grid.move(position);
    showEmpty();
    selectionChanged();
  }

  function showEmpty() {
    empty.hidden = order.length > 0 && connected;
    if (!empty.hidden) {
      const filtered = lines.length && (filter.value || show !== "open");
      const [sign, title, text] = !connected
        ? ["arriving", "Waiting for Python", "The list appears when the running cell has finished."]
        : busy.refreshing && !generation
          ? ["refresh", "Looking for new files", "The list appears in a moment."]
          : filtered
            ? ["search", "No file is shown", filter.value ? "No file name contains this text." : "Choose another filter above."]
            : ["imported", "No files are waiting", "New photos appear here after a refresh."];
      empty.replaceChildren(icon(sign, 34), h("strong", { text: title }), h("span", { class: "itx-muted", text }));
    }
  }

  // --- selection
  function toggle(position, on) {
    const index = order[position];
    if (!lines[index]?.[CHOOSABLE]) return;
    (on ?? !selected.has(index)) ? selected.add(index) : selected.delete(index);
    anchor = position;
    selectionChanged();
  }
  function range(to, on) {
    const from = anchor < 0 ? to : anchor;
    for (let position = Math.min(from, to); position <= Math.max(from, to); position++) {
      const index = order[position];
      if (lines[index]?.[CHOOSABLE]) on ? selected.add(index) : selected.delete(index);
    }
    selectionChanged();
  }
  function selectAll(on) {
    for (const index of order) if (on && lines[index]?.[CHOOSABLE]) selected.add(index);
    if (!on) selected.clear();
    selectionChanged();
  }
  function onGridKey(event, moved) {
    if (moved) {
      if (event.shiftKey) {
        if (anchor < 0) anchor = moved.from;
        range(moved.to, true);
      } else anchor = moved.to;
    } else if (event.key === " ") toggle(grid.at);
    else if (event.key === "Enter") {
      if (!selected.size) toggle(grid.at);
      if (selected.size) panel.patient.focus();
    } else if (event.key === "Escape") selectAll(false);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) selectAll(true);
    else return false;
    return true;
  }
  function selectionChanged() {
    const chosen = [...selected].map((index) => lines[index]).filter(Boolean);
    panel.show(chosen, { isSaving: busy.saving });
    all.checked = chosen.length > 0;
    all.indeterminate = chosen.length > 0 && order.some((index) => lines[index]?.[CHOOSABLE] && !selected.has(index));
    grid.update();
  }

  // --- pictures
  let wanted = "";
  let wantTimer = 0;
  function wantPictures(first, last) {
    if (!withPictures) return;
    const missing = order.slice(first, last).filter((index) => lines[index] && pictures.get(`${index}/${THUMB_PX}`) === undefined);
    const key = `${generation}:${missing}`;
    if (key === wanted) return;
    clearTimeout(wantTimer);
    wantTimer = setTimeout(() => {
      wanted = key;
      if (missing.length) send("pictures", { view: me, generation, places: missing, px: THUMB_PX });
    }, 70);
  }

  // --- the panel
  const panel = savePanel({
    search: async (text) => (await query("patients", { text })).patients,
    onChange: () => selectionChanged(),
    onSave: () => saveSelection(),
    onClear: () => selectAll(false),
    onLeave: () => grid.element.focus({ preventScroll: true }),
  });

  let previewTimer = 0;
  function showPreview(position = grid.at) {
    const index = order[position];
    const line = lines[index];
    if (!line) return panel.preview(null);
    const large = pictures.get(`${index}/${PREVIEW_PX}`);
    const small = pictures.get(`${index}/${THUMB_PX}`);
    panel.preview(line, withPictures ? large ?? small : null, factsOf(line, dates));
    clearTimeout(previewTimer);
    if (withPictures && large === undefined && small !== null) {
      previewTimer = setTimeout(() => send("pictures", { view: me, generation, places: [index], px: PREVIEW_PX }), 120);
    }
  }

  // --- saving
  async function saveSelection() {
    const answer = await query("prepare", { generation, rows: [...selected], ...panel.values() });
    selectionChanged();
    if (answer.kind !== "prepared") return notice("bad", answer.text);
    if (answer.warning) {
      const some = [...selected].slice(0, 5).map((index) => {
        const small = frame("itx-thumb");
        small.show(pictures.get(`${index}/${THUMB_PX}`) ?? null, lines[index]?.[DESTINATION]);
        return small.element;
      });
      const more = answer.count - some.length;
      const strip = h("div", { class: "itx-strip" }, ...some, more > 0 ? h("span", { class: "itx-muted", text: `and ${more.toLocaleString("en")} more` }) : null);
      const doubts = answer.doubts.map((doubt) => h("li", { class: `itx-doubt itx-doubt-${doubt.severity}`, text: doubt.text }));
      const body = [strip, h("p", { class: "itx-warning-text", text: answer.summary }), doubts.length ? h("ul", { class: "itx-doubts" }, ...doubts) : null];
      const heading = doubts.length ? "Please check" : `${count(answer.count, "file")} selected`;
      const whose = `${answer.count > 1 ? "These files belong" : "This file belongs"} to ${answer.described}.`;
      const tone = answer.confirm || !answer.patient.active ? "bad" : "warn";
      if (!(await ask(root, { title: heading, body, proceed: "Proceed", tone, confirm: answer.confirm ? whose : null }))) {
        send("drop", { job: answer.job });
        return;
      }
    }
    send("save", { job: answer.job, confirmed: answer.confirm });
  }

  async function undo(name, owner, which) {
    const body = [h("p", {}, h("strong", { text: name }), ` is removed from the record of ${nameOf(owner)} and returned to its folder. It is not imported automatically again.`)];
    if (await ask(root, { title: "Undo this import?", body, proceed: "Undo", tone: "warn" })) send("undo", which);
  }

  // --- recently filed
  const filed = filedList({ undo: (entry) => undo(entry.name, entry.patient, { id: entry.id }) });
  function showFiled(entries) {
    filedTab.number.hidden = !entries.length;
    setText(filedTab.number, entries.length.toLocaleString("en"));
    filed.show(entries, { dates, isSaving: busy.saving });
  }
  function showTab(name) {
    inboxTab.element.setAttribute("aria-selected", String(name === "inbox"));
    filedTab.element.setAttribute("aria-selected", String(name === "filed"));
    filed.element.hidden = name !== "filed";
    main.hidden = name !== "inbox";
    chips.hidden = filter.hidden = name !== "inbox";
    if (name === "inbox") grid.update();
  }

  // --- messages from Python
  const handlers = {
    ...answers,
    hello(message) {
      connected = true;
      ({ reasons } = message);
      dates = dateFormat(message.zone);
      withPictures = message.pictures;
      if (message.patient) panel.patient.fix(message.patient);
      showEmpty();
    },
    busy(message) {
      busy = { refreshing: message.refreshing, saving: message.saving };
      banner.hidden = !busy.refreshing && !busy.saving;
      refresh.disabled = busy.refreshing;
      root.setAttribute("aria-busy", String(!banner.hidden));
      if (!banner.hidden) setText(bannerText, busy.saving ? "Saving…" : "Looking for new files…");
      delete meter.dataset.known;
      filed.setSaving(busy.saving);
      selectionChanged();
      showEmpty();
    },
    progress(message) {
      setText(bannerText, message.text);
      banner.dataset.stage = message.stage;
      if (message.total) {
        meter.dataset.known = "";
        meter.firstChild.style.width = `${(100 * message.done) / message.total}%`;
        meter.setAttribute("aria-valuemax", message.total);
        meter.setAttribute("aria-valuenow", message.done);
      } else delete meter.dataset.known;
    },
    list(message) {
      ({ generation, sources } = message);
      pictures.clear();
      selected.clear();
      anchor = -1;
      wanted = "";
      lines = Array(message.total);
      showFiled(message.filed);
      handlers.lines(message);
    },
    lines(message) {
      if (message.generation !== generation) return;
      message.lines.forEach((line, offset) => (lines[message.start + offset] = line));
      arrange();
    },
    changed(message) {
      if (message.generation !== generation) return;
      for (const [index, line] of message.lines) {
        lines[index] = line;
        if (!line[CHOOSABLE] || line[PATIENT]) selected.delete(index);
      }
      arrange();
      showPreview();
    },
    pictures(message, buffers) {
      message.shown.forEach(([of, place, px], position) => of === generation && pictures.put(`${place}/${px}`, buffers[position]));
      for (const [of, place, px] of message.none) if (of === generation) pictures.put(`${place}/${px}`, null);
      grid.update();
      showPreviewIfHere([...message.shown, ...message.none]);
    },
    refreshed(message) {
      showProblems(message.problems);
      showFiled(message.filed);
      if (message.failed || !message.closes) notice("bad", `${count(message.failed, "file")} could not be filed. The list shows why.`);
      else if (message.imported) notice("good", `${count(message.imported, "file")} ${message.imported === 1 ? "was" : "were"} filed automatically.`, showAction());
    },
    saved(message) {
      showProblems(message.problems);
      showFiled(message.filed);
      if (message.imported === message.listed) {
        panel.empty();
        notice("good", `${count(message.imported, "file")} filed to ${nameOf(message.patient)}.`, showAction());
      } else notice("bad", `${message.imported} of ${message.listed} filed to ${nameOf(message.patient)}. The list shows why the others were not filed.`);
      grid.element.focus({ preventScroll: true });
    },
    undone(message) {
      showFiled(message.filed);
      notice(message.done ? "good" : "bad", message.done ? "The file is back in its folder." : `The import could not be undone. ${message.text}`);
    },
  };
  const showAction = () => button("Show", { kind: "quiet", on: () => showTab("filed") });
  const showPreviewIfHere = (places) => places.some(([, place]) => place === order[grid.at]) && showPreview();

  // --- layout
  const main = h("div", { class: "itx-main" }, h("div", { class: "itx-list" }, grid.element, empty), panel.element);
  root.append(h("header", { class: "itx-top" }, tabs, tally, h("span", { class: "itx-grow" }), chips, filter, refresh), banner, problems, notices, main, filed.element);
  showFiled([]);
  showTab("inbox");
  arrange();
  showPreview(-1);
  return mount({ model, el }, root, handlers, () => {
    for (const timer of [wantTimer, previewTimer]) clearTimeout(timer);
    send("pictures", { view: me, generation, places: [], px: THUMB_PX });
    grid.close();
    pictures.clear();
  });
}

export default { render: renderInbox };
