// The grid and the patient field, which both widgets use.

// --- a list of any length, with elements only for the visible rows

// Browsers support heights up to about 16 to 33 million pixels. Longer lists are scrolled in proportion.
const MOST_PX = 12_000_000;
const OVERSCAN = 4;

/**
 * build(): makes {element, fill(position)} for one row. onView(first, last): the visible positions changed.
 * onAt(position): the keyboard moved to a row. onKey(event): handles the keys that do not move.
 */
function makeGrid({ label, rowHeight, head, build, onView, onAt, onKey }) {
  const sheet = h("div", { class: "itx-sheet", role: "presentation" });
  const view = h("div", { class: "itx-view", role: "rowgroup", tabindex: "-1" }, sheet);
  const element = h(
    "div",
    { class: "itx-grid", role: "grid", tabindex: "0", "aria-label": label, "aria-multiselectable": "true", "aria-rowcount": "0" },
    head,
    view,
  );
  const rows = [];
  let total = 0;
  let at = -1;
  let asked = 0;
  let span = [0, 0];

  const height = () => Math.min(total * rowHeight, MOST_PX);
  const inView = () => Math.max(1, Math.ceil(view.clientHeight / rowHeight));
  const scaled = () => total * rowHeight > MOST_PX;
  /** The position at the upper edge, with a fraction. */
  const top = () =>
    scaled() ? (view.scrollTop / Math.max(1, height() - view.clientHeight)) * Math.max(0, total - view.clientHeight / rowHeight) : view.scrollTop / rowHeight;

  function paint() {
    asked = 0;
    if (!view.clientHeight) return;
    const upper = top();
    const needed = Math.min(total, inView() + 1 + 2 * OVERSCAN);
    while (rows.length < needed) {
      const row = build();
      row.element.id = unique("row");
      row.element.style.height = `${rowHeight}px`;
      rows.push(row);
      sheet.append(row.element);
    }
    while (rows.length > needed) rows.pop().element.remove();
    const first = Math.max(0, Math.min(Math.floor(upper) - OVERSCAN, total - rows.length));
    for (let position = first; position < first + rows.length; position++) {
      const row = rows[position % rows.length];
      const y = scaled() ? view.scrollTop + (position - upper) * rowHeight : position * rowHeight;
      row.element.style.transform = `translateY(${y}px)`;
      row.element.setAttribute("aria-rowindex", position + 1);
      row.element.classList.toggle("itx-at", position === at);
      row.position = position;
      row.fill(position);
    }
    const here = rows.find((row) => row.position === at);
    if (here) element.setAttribute("aria-activedescendant", here.element.id);
    else element.removeAttribute("aria-activedescendant");
    span = [Math.floor(upper), Math.min(total, Math.floor(upper) + inView() + 1)];
    onView(...span);
  }
  const update = () => (asked ||= requestAnimationFrame(paint));

  function move(to) {
    at = Math.max(-1, Math.min(total - 1, to));
    if (at >= 0) {
      const upper = top();
      const whole = view.clientHeight / rowHeight;
      if (at < upper) scrollTo(at);
      else if (at > upper + whole - 1) scrollTo(at - whole + 1);
    }
    onAt(at);
    update();
  }
  function scrollTo(position) {
    view.scrollTop = scaled()
      ? (position / Math.max(1, total - view.clientHeight / rowHeight)) * (height() - view.clientHeight)
      : position * rowHeight;
  }

  const steps = { ArrowDown: () => at + 1, ArrowUp: () => Math.max(0, at - 1), Home: () => 0, End: () => total - 1, PageDown: () => at + inView() - 1, PageUp: () => Math.max(0, at - inView() + 1) };
  element.addEventListener("keydown", (event) => {
    if (event.target !== element && event.target !== view && event.target.type !== "checkbox") return;
    const step = steps[event.key];
    if (step && !event.ctrlKey && !event.metaKey) {
      const from = at;
      move(step());
      onKey(event, { from, to: at });
    } else if (!onKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  view.addEventListener("scroll", update, { passive: true });
  const observer = new ResizeObserver(update);
  observer.observe(view);

  return {
    element,
    update,
    move,
    toTop() {
      view.scrollTop = 0;
      move(-1);
    },
    get at() {
      return at;
    },
    get span() {
      return span;
    },
    setTotal(number) {
      total = number;
      at = Math.min(at, total - 1);
      sheet.style.height = `${height()}px`;
      element.setAttribute("aria-rowcount", total);
      update();
    },
    close() {
      observer.disconnect();
      cancelAnimationFrame(asked);
    },
  };
}

// --- the field to search a patient, and the card of the chosen one

const DEBOUNCE_MS = 180;

/** search(text): a promise of patients. onChoose(patient or null). onLeave(): a patient was chosen by hand. */
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
      setText(name, patient.name || patient.id);
      setText(detail, details(patient));
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
      if (patients && input.value.trim() === text) open(patients, patients.length ? "" : "No patient found.");
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
