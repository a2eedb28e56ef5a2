// Numbers that something connected replaces or multiplies say so, instead of looking as if they counted.
import { app } from "../../scripts/app.js";
import { active, inputNode, muted, say, widgetOf } from "./nodes.js";

const PATIENCE = 400; // ms

const feeds = (node, name) => active(inputNode(node, name));
const scheduled = (node) => node.comfyClass === "FlashFaceGuidance" && active(node) && feeds(node, "schedule");

const fromSchedule = () => say("schedule's", "由调度决定");
const timesCurve = () => say("× curve", "× 曲线");
const absent = () => say("person is muted", "人物已静音");
const fromBoxes = () => say("not used: bboxes", "不使用：边界框");

// By kind of node: what is said of which of its widgets, and whether they are out of use.
const RULES = {
  FlashFaceGuidance: (node) =>
    feeds(node, "schedule") && {
      unused: true,
      words: { reference_guidance: fromSchedule(), launch_percent: fromSchedule(), strength_before_launch: fromSchedule() },
    },
  FlashFaceApply(node) {
    if (muted(node, "reference")) return { unused: true, words: { strength: absent() } };
    const others = [...along(node, upwards), ...along(node, downwards)];
    // A strength of 0 still turns the person off, so that it can be set.
    return others.some(scheduled) && { words: { strength: fromSchedule() } };
  },
  FlashFaceSchedule: (node) => ({
    words: {
      ...(feeds(node, "strength_curve") && { strength: timesCurve(), strength_before_launch: timesCurve() }),
      ...(feeds(node, "guidance_curve") && { reference_guidance: timesCurve() }),
    },
  }),
  FlashFaceRegion: (node) =>
    feeds(node, "bboxes") && {
      unused: true,
      words: { x1: fromBoxes(), y1: fromBoxes(), x2: fromBoxes(), y2: fromBoxes() },
    },
};

const linkOf = (node, id) => node.graph.links.get?.(id) ?? node.graph.links[id];

function upwards(node) {
  const models = (node.inputs ?? []).filter((input) => input.type === "MODEL" && input.link != null);
  return models.map((input) => node.graph.getNodeById(linkOf(node, input.link)?.origin_id));
}

function downwards(node) {
  const models = (node.outputs ?? []).filter((output) => output.type === "MODEL");
  const links = models.flatMap((output) => output.links ?? []);
  return links.map((id) => node.graph.getNodeById(linkOf(node, id)?.target_id));
}

// All nodes that a MODEL comes through, or goes to.
function along(node, next) {
  const found = new Set();
  const open = [node];
  while (open.length) {
    for (const other of next(open.pop())) {
      if (!other || found.has(other)) continue;
      found.add(other);
      open.push(other);
    }
  }
  return [...found];
}

function mark(node) {
  const { words = {}, unused = false } = RULES[node.comfyClass](node) || {};
  const before = (node.flashfaceMarks ??= {});
  for (const name of new Set([...Object.keys(before), ...Object.keys(words)])) {
    const widget = widgetOf(node, name);
    if (!widget || before[name]?.word === words[name]) continue;
    const own = before[name] ?? { label: widget.label, disabled: widget.disabled };
    if (words[name]) {
      widget.label = `${own.label ?? name} (${words[name]})`;
      widget.disabled = unused || own.disabled;
      before[name] = { ...own, word: words[name] };
    } else {
      widget.label = own.label;
      widget.disabled = own.disabled;
      delete before[name];
    }
    node.setDirtyCanvas?.(true, true);
  }
}

function markAll() {
  const graphs = [app.graph?.rootGraph ?? app.graph, ...(app.graph?.rootGraph?.subgraphs?.values() ?? [])];
  for (const graph of graphs) {
    for (const node of graph?.nodes ?? []) if (node.comfyClass in RULES) mark(node);
  }
}

app.registerExtension({
  name: "FlashFace.Overridden",
  setup: () => void setInterval(markAll, PATIENCE),
});
