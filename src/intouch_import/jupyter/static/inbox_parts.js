// The parts of the inbox: a line and its row, the panel, and what was filed.

// --- a line of the inbox, as Python sends it: what stands where, what it is called, and which lines are shown.

const [NAME, SOURCE, SIZE, TIME, DESTINATION, STATUS, REASON, DOUBT, PATIENT, TITLE, CHOOSABLE] = Array(11).keys();
const STATUS_WORDS = { waiting: "Waiting", arriving: "Arriving", imported: "Filed", stored: "Filed, still in its folder", failed: "Failed", ignored: "Ignored" };
const SHOWN = {
  open: ["All", (line) => line[STATUS] !== "ignored"],
  waiting: ["To file", (line) => line[STATUS] === "waiting"],
  arriving: ["Arriving", (line) => line[STATUS] === "arriving"],
  filed: ["Filed", (line) => line[STATUS] === "imported" || line[STATUS] === "stored"],
  failed: ["Failed", (line) => line[STATUS] === "failed"],
  ignored: ["Ignored", (line) => line[STATUS] === "ignored"],
};
const SORTS = { name: (line) => line[NAME].toLowerCase(), size: (line) => line[SIZE], time: (line) => line[TIME] ?? 0, from: (line) => line[SOURCE], to: (line) => line[DESTINATION], status: (line) => line[STATUS] };

/** The indexes of the lines that are shown, in their order, and how many there are of each of SHOWN. */
function arranged(lines, { show, text, sort: [key, way] }) {
  const counts = Object.fromEntries(Object.keys(SHOWN).map((name) => [name, 0]));
  const order = [];
  const isShown = SHOWN[show][1];
  lines.forEach((line, index) => {
    if (text && !line[NAME].toLowerCase().includes(text)) return;
    for (const name in SHOWN) if (SHOWN[name][1](line)) counts[name]++;
    if (isShown(line)) order.push(index);
  });
  const by = SORTS[key];
  if (by) {
    const keys = new Map(order.map((index) => [index, by(lines[index])]));
    order.sort((a, b) => (keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : a - b) * way);
  }
  return { order, counts };
}

const factsOf = (line, dates) => [line[TIME] === null ? null : dates.format(line[TIME]), sizeText(line[SIZE])].filter(Boolean).join(" · ");
const whose = (patient) => (patient.name ? `${patient.name} (${patient.id})` : patient.id);

// --- a row of the inbox's list. There are as many as fit the window; each is filled anew as the list is scrolled.

/**
 * look(position): what to show there, or nothing while it is on its way. toggle(position, on), range(position, on):
 * select. goTo(position, focus): make it the one that keys start from. undo(position): take it back.
 */
function inboxRow({ look, toggle, range, goTo, undo: takeBack }) {
  const box = h("input", { type: "checkbox", class: "itx-check", tabindex: "-1" });
  const thumb = frame("itx-thumb");
  const name = h("span", { class: "itx-name" });
  const facts = h("span", { class: "itx-muted" });
  const place = icon("local", 18);
  const placeName = h("span", { class: "itx-place" });
  const placeLabel = h("span", { class: "itx-muted itx-place" });
  const kind = icon("images", 18);
  const kindName = h("span", {});
  const pillIcon = icon("waiting", 14);
  const pillText = h("span", {});
  const pill = h("span", { class: "itx-pill" }, pillIcon, pillText);
  const patient = h("span", { class: "itx-row-patient" });
  const why = h("span", { class: "itx-why" });
  const undo = button("Undo", { icon: "undo", kind: "quiet", title: "Put it back into its folder", tabindex: "-1", on: (event) => (event.stopPropagation(), takeBack(row.position)) });
  const element = h(
    "div",
    { class: "itx-row", role: "row" },
    h("span", { role: "gridcell", class: "itx-cell-check" }, box),
    h("span", { role: "gridcell" }, thumb.element),
    h("span", { role: "gridcell", class: "itx-two" }, name, facts),
    h("span", { role: "gridcell", class: "itx-from" }, place, h("span", { class: "itx-two" }, placeName, placeLabel)),
    h("span", { role: "gridcell", class: "itx-col-to itx-to" }, kind, kindName),
    h("span", { role: "gridcell", class: "itx-status" }, h("span", { class: "itx-two" }, h("span", { class: "itx-line" }, pill, patient), why), undo),
  );
  element.addEventListener("mousedown", (event) => {
    if (event.shiftKey) event.preventDefault(); // no text is to be selected
  });
  element.addEventListener("click", (event) => {
    const { position } = row;
    if (event.target === box) event.shiftKey ? range(position, box.checked) : toggle(position, box.checked);
    else if (event.shiftKey) range(position, true);
    else if (event.ctrlKey || event.metaKey) toggle(position);
    goTo(position, event.target !== box);
  });
  element.addEventListener("dblclick", () => toggle(row.position));
  const row = {
    element,
    fill(position) {
      const seen = look(position);
      element.classList.toggle("itx-coming", !seen);
      if (!seen) return;
      const { line, source, reason, picture, dates, isSelected, isSaving } = seen;
      const status = line[STATUS];
      const isFiled = Boolean(line[PATIENT] && status === "imported");
      element.dataset.status = status;
      element.setAttribute("aria-selected", String(isSelected));
      box.checked = isSelected;
      box.disabled = !line[CHOOSABLE];
      box.setAttribute("aria-label", `Select ${line[NAME]}`);
      thumb.show(picture, line[DESTINATION]);
      say(name, line[NAME]);
      name.title = line[NAME];
      say(facts, factsOf(line, dates));
      redraw(place, source.location);
      say(placeName, locationName(source.location));
      say(placeLabel, source.label);
      redraw(kind, line[DESTINATION]);
      say(kindName, line[DESTINATION] === "images" ? "Images" : "Notes");
      redraw(pillIcon, status);
      say(pillText, STATUS_WORDS[status]);
      pill.className = `itx-pill itx-pill-${status}`;
      say(patient, line[PATIENT] ? whose(line[PATIENT]) : "");
      say(why, [isFiled ? line[TITLE] : reason, line[DOUBT]].filter(Boolean).join(" "));
      why.title = why.textContent;
      why.classList.toggle("itx-title", isFiled);
      undo.hidden = status !== "imported" && status !== "stored";
      undo.disabled = isSaving;
    },
  };
  return row;
}

// --- the panel beside the list: a file to look at, and the form in which those that are selected get their patient.

/** search(text): a promise of patients. onSave(): what is selected is to be saved. onClear(), onLeave(): likewise. */
function savePanel({ search, onChange, onSave, onClear, onLeave }) {
  const preview = frame("itx-preview");
  const previewName = h("strong", { class: "itx-name" });
  const previewFacts = h("span", { class: "itx-muted" });
  const choice = h("h2", { class: "itx-choice" });
  const hint = h("span", { class: "itx-muted itx-hint" });
  const clear = button("Clear", { kind: "quiet", title: "Select nothing", on: onClear });
  const begin = () => {
    if (save.disabled) return;
    save.disabled = true; // until the choice is shown again: one click is one question
    onSave();
  };
  const patient = patientField({ search, onChoose: onChange, onLeave: () => title.focus() });
  const title = h("input", { type: "text", class: "itx-input itx-title-field", maxlength: "500", placeholder: "e.g. Left forearm", "aria-label": "Title", on: { keydown: (event) => event.key === "Enter" && (event.preventDefault(), begin()) } });
  const comments = h("textarea", { class: "itx-input itx-comments", rows: "2", "aria-label": "Comments", on: { keydown: (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && begin() } });
  const save = button("Save", { icon: "imported", kind: "primary", on: begin, class: "itx-button itx-primary itx-save" });
  const field = (label, optional, ...content) => h("div", { class: "itx-field" }, h("span", { class: "itx-label" }, label, optional ? h("span", { class: "itx-muted", text: " optional" }) : null), ...content);
  const element = h(
    "aside",
    { class: "itx-panel", "aria-label": "Save to a patient" },
    h("div", { class: "itx-previewed" }, preview.element, h("div", { class: "itx-two" }, previewName, previewFacts)),
    h("div", { class: "itx-form" }, h("div", { class: "itx-choice-line" }, choice, clear), hint, field("Patient", false, patient.element), field("Title", true, title), field("Comments", true, comments), save),
  );
  element.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") onLeave();
  });

  return {
    element,
    patient,
    /** What was typed, for the files that are selected. */
    said: () => ({ patient: patient.chosen.id, title: title.value, comments: comments.value }),
    /** Show a file, with as large a picture as there is; nothing without a line. */
    preview(line, picture, facts) {
      element.classList.toggle("itx-nothing", !line);
      if (!line) return;
      preview.show(picture, line[DESTINATION]);
      say(previewName, line[NAME]);
      say(previewFacts, facts);
    },
    /** Show what is selected, and whether it can be saved now. */
    show(chosen, { isSaving }) {
      const images = chosen.filter((line) => line[DESTINATION] === "images").length;
      const mixed = images > 0 && images < chosen.length;
      const what = images ? count(images, "image") : count(chosen.length, "document");
      say(choice, !chosen.length ? "No file selected" : mixed ? `${count(images, "image")} and ${count(chosen.length - images, "document")}` : what);
      say(hint, mixed ? "Images and other documents can’t be saved together." : chosen.length ? "" : "Tick files in the list, or press the space bar.");
      hint.classList.toggle("itx-bad", mixed);
      clear.hidden = !chosen.length;
      say(save.lastChild, chosen.length && !mixed ? `Save ${what}` : "Save");
      save.disabled = !chosen.length || mixed || !patient.chosen || isSaving;
    },
    /** Forget what was typed: it was saved. */
    empty() {
      title.value = comments.value = "";
      patient.clear();
    },
  };
}

// --- what was filed while the list was open, and can be taken back.

/** undo(entry): take it back. */
function filedList({ undo }) {
  const element = h("div", { class: "itx-filed", role: "list", "aria-label": "Filed lately", hidden: true });
  const nothing = () => h("div", { class: "itx-empty" }, icon("waiting", 34), h("strong", { text: "Nothing filed yet" }), h("span", { class: "itx-muted", text: "What is filed while this list is open stands here, and can be taken back." }));
  return {
    element,
    show(entries, { dates, isSaving }) {
      element.replaceChildren(
        ...entries.map((entry) =>
          h(
            "div",
            { class: "itx-filed-row", role: "listitem" },
            icon("imported", 20),
            h("span", { class: "itx-two" }, h("span", { class: "itx-name", text: entry.name }), h("span", { class: "itx-muted", text: `${dates.format(entry.at)} · ${entry.automatic ? "by its name" : "by hand"}` })),
            h("span", { class: "itx-two" }, h("span", { class: "itx-row-patient", text: whose(entry.patient) }), h("span", { class: "itx-muted", text: entry.title })),
            button("Undo", { icon: "undo", kind: "quiet", title: "Put it back into its folder", disabled: isSaving, on: () => undo(entry) }),
          ),
        ),
        ...(entries.length ? [] : [nothing()]),
      );
    },
    setSaving(isSaving) {
      for (const each of element.querySelectorAll("button")) each.disabled = isSaving;
    },
  };
}
