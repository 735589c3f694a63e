// The parts of all widgets. Text is set through textContent and attributes only: file names come from cameras,
// e-mails and strangers, and must never be parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";
const CIRCLE = "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z";
const ICONS = {
  local: "M3 7a2 2 0 0 1 2-2h3.6l2.2 2.5H19a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
  azure: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3zv12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
  dropbox: "M3 8l9-4.5L21 8l-9 4.5zM3 8v8l9 4.5 9-4.5V8M12 12.5v8",
  onedrive: "M7 18.5a4.5 4.5 0 0 1-.6-8.96A6 6 0 0 1 17.9 9.1a4.72 4.72 0 0 1-.9 9.4z",
  sftp: "M4 4.5h16v6H4zM4 13.5h16v6H4zM7.5 7.5h.01M7.5 16.5h.01",
  other: `${CIRCLE}M3 12h18M12 3c2.5 2.6 3.8 5.7 3.8 9s-1.3 6.4-3.8 9c-2.5-2.6-3.8-5.7-3.8-9S9.5 5.6 12 3z`,
  waiting: "M4 13l2.6-8h10.8L20 13v5a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 18zM4 13h4.6a3.4 3.4 0 0 0 6.8 0H20",
  arriving: `${CIRCLE}M12 7.5V12l3 2`,
  imported: `${CIRCLE}M8 12.3l2.8 2.7L16 9.5`,
  stored: `${CIRCLE}M12 7.5V13M12 16.3h.01`,
  failed: "M12 4L2.8 20h18.4zM12 10v4.5M12 17.3h.01",
  ignored: `${CIRCLE}M8 12h8`,
  images: "M4 5h16v14H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9.2h.01",
  notes: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 15.5h6",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.3 15.3L20.5 20.5",
  refresh: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.3M20 4.5v4.8h-4.8",
  undo: "M8.5 5L4 9.5 8.5 14M4.5 9.5H14a5.5 5.5 0 0 1 0 11h-3",
  close: "M6 6l12 12M18 6L6 18",
  person: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20.5c.8-3.8 3.8-6 7.5-6s6.7 2.2 7.5 6",
  warning: "M12 4L2.8 20h18.4zM12 10v4.5M12 17.3h.01",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  play: "M7 5l12 7-12 7z",
  stop: "M7 7h10v10H7z",
};

/** Make an element: attributes by name, `on` for listeners, `text` for its text. Children that are null are skipped. */
function h(tag, { on = {}, text, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const [type, listener] of Object.entries(on)) element.addEventListener(type, listener);
  if (text !== undefined) element.textContent = text;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function icon(name, size = 16) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("width", size);
  svg.setAttribute("height", size);
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "itx-icon");
  const path = svg.appendChild(document.createElementNS(SVG, "path"));
  redraw(svg, name);
  return svg;
}

/** Change the picture of an icon that is on the page. */
function redraw(svg, name) {
  const path = ICONS[name] ?? ICONS.other;
  if (svg.firstChild.getAttribute("d") !== path) svg.firstChild.setAttribute("d", path);
}

/** Set a text if it differs: a row is filled many times during scrolling. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function button(label, { icon: name, kind = "plain", on, title, ...attributes } = {}) {
  const content = [name ? icon(name) : null, label ? h("span", { text: label }) : null];
  return h(
    "button",
    { type: "button", class: `itx-button itx-${kind}`, title, "aria-label": label ? undefined : title, on: { click: on }, ...attributes },
    ...content,
  );
}

function sizeText(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < 4) (bytes /= 1000), unit++;
  return `${unit ? bytes.toFixed(bytes < 10 ? 1 : 0) : bytes} ${["B", "KB", "MB", "GB", "TB"][unit]}`;
}

const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** Return a formatter for dates in the user's language, and in the practice's time zone if it is known. */
function dateFormat(zone, style = { dateStyle: "medium", timeStyle: "short" }) {
  try {
    return new Intl.DateTimeFormat(undefined, { ...style, timeZone: zone ?? undefined });
  } catch {
    return new Intl.DateTimeFormat(undefined, style); // the browser does not know the zone
  }
}

/** Return the lightness and opacity of a colour, 0 to 1, in any CSS notation: `rgb(…)`, `color(srgb 1 1 1)`, `oklch(…)`. */
function lightnessOf(color) {
  const [, kind, rest] = /^([a-z]+)\((.*)\)$/.exec(color.replace(/^color\([-a-z0-9]+/, "color(")) ?? [null, "rgb", "0 0 0 / 0"];
  const [first = 0, second = 0, third = 0, alpha = 1] = rest.match(/-?[\d.]+(e-?\d+)?/g)?.map(Number) ?? [];
  if (kind.startsWith("ok")) return { lightness: first, alpha };
  if (kind.startsWith("l")) return { lightness: first / 100, alpha };
  return { lightness: (first * 0.3 + second * 0.59 + third * 0.11) / (kind === "color" ? 1 : 255), alpha };
}

/** Set `data-theme` to dark or light, like the page around the widget. Returns a function that ends it. */
function followTheme(root) {
  const above = (node) => node.parentElement ?? node.getRootNode().host ?? null;
  const isDark = () => {
    const light = document.body.dataset.jpThemeLight;
    if (light !== undefined) return light === "false";
    for (let node = above(root); node; node = above(node)) {
      const { lightness, alpha } = lightnessOf(getComputedStyle(node).backgroundColor);
      if (alpha > 0.5) return lightness < 0.43;
    }
    return false;
  };
  const judge = () => (root.dataset.theme = isDark() ? "dark" : "light");
  const observer = new MutationObserver(judge);
  for (const node of [document.documentElement, document.body]) observer.observe(node, { attributes: true });
  judge();
  return () => observer.disconnect();
}

/**
 * Make the outermost element of a widget. JupyterLab treats letters as commands ("d" twice deletes the cell) unless
 * the focused element is a text field or has the attribute below. It checks only that element, not its parents.
 */
function widgetRoot(className, height) {
  const root = h("div", { class: `itx ${className}` });
  root.style.height = `${height}px`;
  root.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  return root;
}

/** Keep the pictures that were received, as URLs for images. The oldest are dropped. */
function pictureStore(most = 600) {
  const urls = new Map();
  const drop = (key) => {
    if (urls.get(key)) URL.revokeObjectURL(urls.get(key));
    urls.delete(key);
  };
  return {
    get: (key) => urls.get(key), // undefined: not received yet; null: there is no picture
    put(key, buffer) {
      drop(key);
      urls.set(key, buffer && URL.createObjectURL(new Blob([buffer], { type: "image/jpeg" })));
      if (urls.size > most) drop(urls.keys().next().value);
    },
    clear: () => [...urls.keys()].forEach(drop),
  };
}

/** Make a frame for a picture. `show(url, kind)`: null if there is no picture, undefined if it is not received yet. */
function frame(className) {
  const image = h("img", { alt: "", draggable: "false" });
  const sign = icon("images", 20);
  const element = h("div", { class: `itx-frame ${className}` }, sign, image);
  return {
    element,
    show(url, kind) {
      redraw(sign, kind);
      element.dataset.state = url ? "shown" : url === null ? "none" : "coming";
      if (url && image.src !== url) image.src = url;
      if (!url && image.hasAttribute("src")) image.removeAttribute("src");
    },
  };
}

/**
 * Show a dialog over the widget. Resolves to whether the user proceeded, and restores the focus. With `confirm`, the
 * user can proceed only after ticking a box with this label.
 */
function ask(root, { title, body, proceed, tone = "plain", confirm = null }) {
  return new Promise((resolve) => {
    const before = root.getRootNode().activeElement;
    const close = (answer) => {
      veil.remove();
      before?.focus?.({ preventScroll: true });
      resolve(answer);
    };
    const cancel = button("Cancel", { on: () => close(false), class: "itx-button itx-plain itx-cancel" });
    const go = button(proceed, { on: () => close(true), class: "itx-button itx-primary itx-proceed", disabled: confirm !== null });
    const tick = h("input", { type: "checkbox", class: "itx-check itx-confirm", on: { change: () => (go.disabled = !tick.checked) } });
    const confirmation = confirm === null ? null : h("label", { class: "itx-confirm-line" }, tick, h("span", { text: confirm }));
    const heading = h("h2", { id: unique("asked"), text: title });
    const text = h("div", { id: unique("asks"), class: "itx-asks" }, ...body);
    const panel = h(
      "div",
      { class: `itx-dialog itx-tone-${tone}`, role: "alertdialog", "aria-modal": "true", tabindex: "-1", "aria-labelledby": heading.id, "aria-describedby": text.id },
      h("div", { class: "itx-dialog-head" }, icon(tone === "plain" ? "images" : "warning", 22), heading),
      text,
      confirmation,
      h("div", { class: "itx-dialog-foot" }, cancel, go),
    );
    panel.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") close(false);
      else if (event.key === "Tab") {
        const stops = [...panel.querySelectorAll("button, input")].filter((stop) => stop.offsetParent && !stop.disabled);
        const at = event.target === panel ? 0 : stops.indexOf(event.target);
        if (event.shiftKey ? at > 0 : at < stops.length - 1) return; // the browser moves the focus
        (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
      }
      // The key that opened the dialog may still be held down: ignore its repetitions.
      else if (event.key === "Enter" && event.target === panel) event.repeat || go.disabled || close(true);
      else return;
      event.preventDefault();
    });
    const veil = root.appendChild(h("div", { class: "itx-veil" }, panel));
    panel.focus({ preventScroll: true });
  });
}

let made = 0;
const unique = (name) => `itx-${name}-${(made += 1)}`;

/**
 * Send questions to Python. `query` resolves to the answer; `answers` are the handlers of the messages that answer.
 * `notice` shows the error message of anything that is no answer.
 */
function questions(send, notice) {
  const waiters = new Map();
  let asked = 0;
  const settle = (message) => {
    const waiter = waiters.get(message.ask);
    waiters.delete(message.ask);
    waiter?.(message);
    return Boolean(waiter);
  };
  const fail = (message) => settle(message) || notice("bad", message.text);
  return {
    query: (kind, content) =>
      new Promise((resolve) => {
        waiters.set((asked += 1), resolve);
        send(kind, { ...content, ask: asked });
      }),
    answers: { patients: settle, prepared: settle, decided: settle, refused: fail, trouble: fail },
  };
}

/** Make the place for the last message to the user. `notice(tone, text, action)`: good, warn or bad. */
function noticeBoard() {
  const element = h("div", { class: "itx-notices", "aria-live": "polite" });
  const signs = { good: "imported", bad: "failed", warn: "warning" };
  const notice = (tone, text, action) => {
    const close = button("", { icon: "close", kind: "quiet", title: "Dismiss", on: () => shown.remove() });
    const shown = h("div", { class: `itx-notice itx-tone-${tone}`, role: tone === "bad" ? "alert" : undefined }, icon(signs[tone], 18), h("span", { class: "itx-notice-text", text }), action, close);
    element.replaceChildren(shown);
  };
  return { element, notice };
}

/** Show a widget and start to receive messages. Returns a function that removes it. */
function mount({ model, el }, root, handlers, onClose) {
  const onMessage = (message, buffers) => handlers[message.kind]?.(message, buffers ?? []);
  el.append(root);
  const endTheme = followTheme(root);
  model.on("msg:custom", onMessage);
  model.send({ kind: "open" });
  return () => {
    model.off("msg:custom", onMessage);
    onClose();
    endTheme();
    root.remove();
  };
}
