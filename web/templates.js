// A template of ours opens in Chinese where ComfyUI is: the front end translates those of core only.
//
// Texts that somebody changed stay as they are. templates_zh.json is made by make_workflows.py.
import { app } from "../../scripts/app.js";
import { say } from "./nodes.js";

const NOTE = "MarkdownNote";
let texts;

// Titles and notes in Chinese; null in other languages.
function chinese() {
  const file = new URL("./templates_zh.json", import.meta.url);
  texts ??= say(null, fetch(file).then((answer) => answer.json()));
  return texts;
}

// "2. Models" keeps its number.
function translated(title, titles) {
  const [, number, text] = /^(\d+\. )?(.*)$/s.exec(title ?? "");
  return titles[text] ? (number ?? "") + titles[text] : title;
}

app.registerExtension({
  name: "FlashFace.Templates",
  async afterConfigureGraph() {
    const known = await chinese();
    const note = known?.notes[app.graph.id];
    if (!note) return;
    for (const group of app.graph.groups ?? []) group.title = translated(group.title, known.titles);
    for (const node of app.graph.nodes) {
      node.title = translated(node.title, known.titles);
      const widget = node.type === NOTE ? node.widgets?.[0] : undefined;
      if (widget?.value === note.english) widget.value = note.chinese;
    }
  },
});
