// The panel beside the list: a file to look at, and the form in which those that are selected get their patient.

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
