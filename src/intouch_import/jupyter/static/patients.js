// The field in which a person looks for a patient, and the card of the one that was found.

const DEBOUNCE_MS = 180;

/** search(text): a promise of patients. onChoose(patient or null). */
function patientField({ search, onChoose, onLeave }) {
  const list = h("ul", { class: "itx-options", role: "listbox", id: unique("patients"), "aria-label": "Patients found", hidden: true });
  const input = h("input", {
    type: "text", class: "itx-input itx-patient-search", role: "combobox", autocomplete: "off", spellcheck: "false",
    placeholder: "Name or number", "aria-label": "Patient", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  });
  const name = h("span", { class: "itx-patient-name" });
  const detail = h("span", { class: "itx-muted" });
  const change = button("", { icon: "close", kind: "quiet", title: "Choose another patient", on: () => choose(null, true) });
  const card = h("div", { class: "itx-patient-card", hidden: true }, icon("person", 20), h("div", {}, name, detail), change);
  const element = h("div", { class: "itx-patient" }, h("div", { class: "itx-field-icon" }, icon("search"), input), list, card);
  let found = [];
  let at = -1;
  let timer = 0;
  let chosen = null;
  let fixed = false;

  const details = (patient) => [`No. ${patient.id}`, patient.born && `born ${patient.born}`, !patient.active && "not active"].filter(Boolean).join(" · ");

  function open(patients, note) {
    found = patients;
    at = patients.length ? 0 : -1;
    list.replaceChildren(
      ...patients.map((patient, index) =>
        h(
          "li",
          { role: "option", id: `${list.id}-${index}`, class: "itx-option", on: { mousedown: (event) => (event.preventDefault(), choose(patient, true)) } },
          h("span", { class: "itx-option-name", text: patient.name || patient.id }),
          h("span", { class: patient.active ? "itx-muted" : "itx-not-active", text: details(patient) }),
        ),
      ),
      ...(note ? [h("li", { class: "itx-option-note", role: "presentation", text: note })] : []),
    );
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark();
  }
  function shut() {
    list.hidden = true;
    found = [];
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  function mark() {
    [...list.children].forEach((option, index) => option.setAttribute("aria-selected", String(index === at)));
    if (at >= 0) {
      input.setAttribute("aria-activedescendant", `${list.id}-${at}`);
      list.children[at].scrollIntoView({ block: "nearest" });
    }
  }
  function choose(patient, byHand) {
    if (fixed && byHand) return;
    chosen = patient;
    card.hidden = !patient;
    input.parentElement.hidden = Boolean(patient);
    if (patient) {
      say(name, patient.name || patient.id);
      say(detail, details(patient));
      card.classList.toggle("itx-inactive", !patient.active);
    }
    input.value = "";
    shut();
    onChoose(patient);
    if (byHand && !patient) input.focus();
    if (byHand && patient) onLeave();
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    const text = input.value.trim();
    if (!text) return shut();
    timer = setTimeout(async () => {
      const patients = await search(text);
      if (patients && input.value.trim() === text) open(patients, patients.length ? "" : "No patient is found.");
    }, DEBOUNCE_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!found.length) return;
      at = (at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length;
      mark();
    } else if (event.key === "Enter") {
      if (at >= 0 && found[at]) choose(found[at], true);
    } else if (event.key === "Escape" && !list.hidden) shut();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  input.addEventListener("blur", shut);

  return {
    element,
    focus: () => (chosen ? onLeave() : input.focus()),
    get chosen() {
      return chosen;
    },
    clear: () => fixed || choose(null, false),
    fix(patient) {
      fixed = true;
      choose(patient, false);
      change.hidden = true;
    },
  };
}
