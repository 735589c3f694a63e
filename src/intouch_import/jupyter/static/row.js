// A row of the inbox's list. There are as many as fit the window; each is filled anew as the list is scrolled.

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
