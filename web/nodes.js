// What this pack asks of the front end's nodes: widgets, links, and the pictures that they show.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

export const widgetOf = (node, name) => node?.widgets?.find((widget) => widget.name === name);
export const valueOf = (node, name) => widgetOf(node, name)?.value;
export const sizeOf = (node) => ["width", "height"].map((name) => valueOf(node, name));

export function setValue(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget || widget.value === value) return;
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
  node.setDirtyCanvas?.(true, true);
}

export function inputNode(node, name) {
  const slot = node.findInputSlot(name);
  return slot >= 0 && node.isInputConnected(slot) ? node.getInputNode(slot) : null;
}

const BYPASSED = 4;
const NEVER = [2, BYPASSED]; // muted, bypassed: modes of nodes that do not run

export const active = (node) => Boolean(node) && !NEVER.includes(node.mode);

// The node that is linked to an input and runs, or null.
export function feeding(node, name) {
  const source = inputNode(node, name);
  return active(source) ? source : null;
}

// Whether what is linked to an input does not run. A bypassed node hands on its first input of the
// output's type, so that what comes from there still counts.
export function muted(node, name) {
  const source = inputNode(node, name);
  if (!source || active(source)) return false;
  const { type } = node.inputs[node.findInputSlot(name)];
  const passed = source.mode === BYPASSED && source.inputs?.find((input) => input.type === type);
  return !passed || passed.link == null || muted(source, passed.name);
}

// Outputs are kept by number; in a subgraph, by that of the subgraph too.
function outputsOf(node) {
  const inside = node.graph?.isRootGraph === false;
  return app.nodeOutputs?.[inside ? `${node.graph.id}:${node.id}` : node.id];
}

// The picture that a node shows, once it is loaded, or null. `kept` holds it by its address.
export function shownBy(node, kept) {
  const made = node && outputsOf(node)?.images?.[0];
  const picture = node?.imgs?.[0] ?? (made && load(made, kept));
  return picture?.complete && picture.naturalWidth ? picture : null;
}

function load(made, kept) {
  const address = api.apiURL(`/view?${new URLSearchParams(made)}`);
  if (kept.address !== address) {
    kept.address = address;
    kept.picture = new Image();
    kept.picture.src = address;
  }
  return kept.picture;
}

// Call `more` after what an object's function did before.
export function after(object, name, more) {
  const before = object[name];
  object[name] = function (...given) {
    const result = before?.apply(this, given);
    more(...given);
    return result;
  };
}

const PATIENCE = 400; // ms

// Call `update` when `state`, a text that a function makes of a node, has changed. Pictures and
// numbers of other nodes arrive without notice. The timer does not hold the node: not all that are
// made are added to a graph, and not all are told when it is cleared.
export function watch(node, state, update) {
  const held = new WeakRef(node);
  let shown = "";
  const timer = setInterval(() => {
    const there = held.deref();
    if (!there) return clearInterval(timer);
    const now = state(there);
    if (now !== shown) there.flashfaceUpdate();
    shown = now;
  }, PATIENCE);
  node.flashfaceUpdate = update;
  after(node, "onRemoved", () => clearInterval(timer));
}

// A canvas of ours shows what the preview of the last run would show again.
export function hidePreview(node) {
  node.hideOutputImages = true;
  after(node, "onDrawBackground", () => {
    const preview = widgetOf(node, "$$canvas-image-preview");
    if (preview && !preview.hidden) preview.hidden = true;
  });
}

// A text in the front end's language, where that is Chinese.
export function say(english, chinese) {
  const language = app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "";
  return language.startsWith("zh") ? chinese : english;
}
