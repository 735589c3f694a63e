// What was filed while the list was open, and can be taken back.

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
