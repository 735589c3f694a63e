// A line of the inbox, as Python sends it: what stands where, what it is called, and which lines are shown.

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
