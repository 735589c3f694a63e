// The parts of the inbox: a line and its row, the panel, and the recently filed files.

// --- a line of the inbox as Python sends it: its fields, and the filters and orders of the list

const [NAME, SOURCE, SIZE, TIME, DESTINATION, STATUS, REASON, DOUBT, PATIENT, TITLE, CHOOSABLE, COMPANIONS, POSSIBLE] = Array(13).keys();
const STATUS_WORDS = { waiting: "Waiting", arriving: "Arriving", imported: "Filed", stored: "Filed, still in its folder", failed: "Failed", ignored: "Ignored" };
const SHOWN = {
  open: ["All", (line) => line[STATUS] !== "ignored"],
  waiting: ["To file", (line) => line[STATUS] === "waiting"],
  arriving: ["Arriving", (line) => line[STATUS] === "arriving"],
  filed: ["Filed", (line) => line[STATUS] === "imported" || line[STATUS] === "stored"],
  failed: ["Failed", (line) => line[STATUS] === "failed"],
  ignored: ["Ignored", (line) => line[STATUS] === "ignored"],
};
const LOCATIONS = { local: "Folder", azure: "Azure", dropbox: "Dropbox", onedrive: "OneDrive", sftp: "SFTP", records: "Patient records", ledger: "Ledger" };
const locationName = (location) => LOCATIONS[location] ?? location;
const SORTS = { name: (line) => line[NAME].toLowerCase(), size: (line) => line[SIZE], time: (line) => line[TIME] ?? 0, from: (line) => line[SOURCE], to: (line) => line[DESTINATION], status: (line) => line[STATUS] };

/** Return the indexes of the shown lines in their order, and the count of lines for each of SHOWN. */
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
const nameOf = (patient) => (patient.name ? `${patient.name} (${patient.id})` : patient.id);

// --- a row of the list; rows are reused during scrolling

/**
 * look(position): the values to show, or null if they are not received yet. toggle(position, on), range(position, on):
 * select. goTo(position, focus): move the keyboard to the row. undo(position): undo the import.
 */
function inboxRow({ look, toggle, range, goTo, undo: takeBack }) {
  const box = h("input", { type: "checkbox", class: "itx-check", tabindex: "-1" });
  const thumb = frame("itx-thumb");
  const name = h("span", { class: "itx-name" });
  const companions = h("span", { class: "itx-muted itx-companions" });
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
  const undo = button("Undo", { icon: "undo", kind: "quiet", title: "Return the file to its folder", tabindex: "-1", on: (event) => (event.stopPropagation(), takeBack(row.position)) });
  const element = h(
    "div",
    { class: "itx-row", role: "row" },
    h("span", { role: "gridcell", class: "itx-cell-check" }, box),
    h("span", { role: "gridcell" }, thumb.element),
    h("span", { role: "gridcell", class: "itx-two" }, h("span", { class: "itx-line" }, name, companions), facts),
    h("span", { role: "gridcell", class: "itx-from" }, place, h("span", { class: "itx-two" }, placeName, placeLabel)),
    h("span", { role: "gridcell", class: "itx-col-to itx-to" }, kind, kindName),
    h("span", { role: "gridcell", class: "itx-status" }, h("span", { class: "itx-two" }, h("span", { class: "itx-line" }, pill, patient), why), undo),
  );
  element.addEventListener("mousedown", (event) => {
    if (event.shiftKey) event.preventDefault(); // select rows, not text
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
      setText(name, line[NAME]);
      name.title = line[NAME];
      setText(companions, line[COMPANIONS]);
      setText(facts, factsOf(line, dates));
      redraw(place, source.location);
      setText(placeName, locationName(source.location));
      setText(placeLabel, source.label);
      redraw(kind, line[DESTINATION]);
      setText(kindName, line[DESTINATION] === "images" ? "Images" : "Notes");
      redraw(pillIcon, status);
      setText(pillText, STATUS_WORDS[status]);
      pill.className = `itx-pill itx-pill-${status}`;
      setText(patient, line[PATIENT] ? nameOf(line[PATIENT]) : "");
      setText(why, [isFiled ? line[TITLE] : reason, line[DOUBT]].filter(Boolean).join(" "));
      why.title = why.textContent;
      why.classList.toggle("itx-title", isFiled);
      undo.hidden = status !== "imported" && status !== "stored";
      undo.disabled = isSaving;
    },
  };
  return row;
}

// --- the panel beside the list: a preview, and the form for the selected files

/** search(text): a promise of patients. onSave(): save the selection. onClear(): clear it. onLeave(): go to the list. */
function savePanel({ search, onChange, onSave, onClear, onLeave }) {
  const preview = frame("itx-preview");
  const previewName = h("strong", { class: "itx-name" });
  const previewFacts = h("span", { class: "itx-muted" });
  const choice = h("h2", { class: "itx-choice" });
  const hint = h("span", { class: "itx-muted itx-hint" });
  const clear = button("Clear", { kind: "quiet", title: "Clear the selection", on: onClear });
  const submit = () => {
    if (save.disabled) return;
    save.disabled = true; // until the selection is shown again, so that a second click does nothing
    onSave();
  };
  const patient = patientField({ search, onChoose: onChange, onLeave: () => title.focus() });
  const title = h("input", { type: "text", class: "itx-input itx-title-field", maxlength: "500", placeholder: "e.g. Left forearm", "aria-label": "Title", on: { keydown: (event) => event.key === "Enter" && (event.preventDefault(), submit()) } });
  const comments = h("textarea", { class: "itx-input itx-comments", rows: "2", "aria-label": "Comments", on: { keydown: (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit() } });
  const save = button("Save", { icon: "imported", kind: "primary", on: submit, class: "itx-button itx-primary itx-save" });
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
    /** Return the values of the form. */
    values: () => ({ patient: patient.chosen.id, title: title.value, comments: comments.value }),
    /** Show a file with its largest picture; nothing without a line. */
    preview(line, picture, facts) {
      element.classList.toggle("itx-nothing", !line);
      if (!line) return;
      preview.show(picture, line[DESTINATION]);
      setText(previewName, [line[NAME], line[COMPANIONS]].filter(Boolean).join(" "));
      setText(previewFacts, facts);
    },
    /** Show the selection, and whether it can be saved now. */
    show(chosen, { isSaving }) {
      const images = chosen.filter((line) => line[DESTINATION] === "images").length;
      const names = new Set(chosen.map((line) => line[NAME]));
      const belongs = (line) => line[POSSIBLE].some((name) => names.has(name));
      const mixed = images > 0 && chosen.some((line) => line[DESTINATION] !== "images" && !belongs(line));
      const what = images ? count(images, "image") : count(chosen.length, "document");
      setText(choice, !chosen.length ? "No file selected" : mixed ? `${count(images, "image")} and ${count(chosen.length - images, "document")}` : what);
      setText(hint, mixed ? "Images and other documents can’t be saved together." : chosen.length ? "" : "Select files with the checkboxes or the space bar.");
      hint.classList.toggle("itx-bad", mixed);
      clear.hidden = !chosen.length;
      setText(save.lastChild, chosen.length && !mixed ? `Save ${what}` : "Save");
      save.disabled = !chosen.length || mixed || !patient.chosen || isSaving;
    },
    /** Clear the form after saving. */
    empty() {
      title.value = comments.value = "";
      patient.clear();
    },
  };
}

// --- the files that were filed while the list was open

/** undo(entry): undo the import. */
function filedList({ undo }) {
  const element = h("div", { class: "itx-filed", role: "list", "aria-label": "Recently filed", hidden: true });
  const nothing = () => h("div", { class: "itx-empty" }, icon("waiting", 34), h("strong", { text: "Nothing filed yet" }), h("span", { class: "itx-muted", text: "Files that are filed while this list is open appear here. You can undo them." }));
  return {
    element,
    show(entries, { dates, isSaving }) {
      element.replaceChildren(
        ...entries.map((entry) =>
          h(
            "div",
            { class: "itx-filed-row", role: "listitem" },
            icon("imported", 20),
            h("span", { class: "itx-two" }, h("span", { class: "itx-name", text: entry.name }), h("span", { class: "itx-muted", text: `${dates.format(entry.at)} · ${entry.automatic ? "automatically" : "by hand"}` })),
            h("span", { class: "itx-two" }, h("span", { class: "itx-row-patient", text: nameOf(entry.patient) }), h("span", { class: "itx-muted", text: entry.title })),
            button("Undo", { icon: "undo", kind: "quiet", title: "Return the file to its folder", disabled: isSaving, on: () => undo(entry) }),
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
