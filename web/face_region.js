// Face Region shows its picture and lets its box be drawn with the mouse, in every node design.
//
// Only the numbers of the node are written, so saved workflows, old front ends and the API know
// nothing of this. With boxes from Create Bounding Boxes it shows those; where that node has no
// editor of its own (it needs Nodes 2.0), they are drawn here. That node's canvas follows the
// width and height given here, so that its boxes are pixels of the same picture.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { createBoxCanvas } from "./box_canvas.js";

const REGION = "FlashFaceRegion";
const BOXES = "CreateBoundingBoxes";
const CORNERS = ["x1", "y1", "x2", "y2"];
const STEP = 16; // of width and height of Create Bounding Boxes
const HEIGHT = 150;
const PATIENCE = 400; // ms

const widgetOf = (node, name) => node?.widgets?.find((widget) => widget.name === name);
const valueOf = (node, name) => widgetOf(node, name)?.value;
const modern = () => Boolean(window.LiteGraph?.vueNodesMode);

function setValue(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget || widget.value === value) return;
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
}

function inputNode(node, name) {
  const slot = node.findInputSlot(name);
  return slot >= 0 && node.isInputConnected(slot) ? node.getInputNode(slot) : null;
}

// The node whose boxes are shown; undefined without a link, null for boxes of other nodes.
function editorOf(node) {
  const slot = node.findInputSlot("bboxes");
  if (slot < 0 || !node.isInputConnected(slot)) return undefined;
  const source = node.getInputNode(slot);
  return source?.comfyClass === BOXES ? source : null;
}

// The picture that a node shows, once it is loaded, or null. `kept` holds it by its address.
function shownBy(node, kept) {
  const made = node && app.nodeOutputs?.[node.id]?.images?.[0];
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

function backdropOf(node) {
  const linked = inputNode(node, "image") ?? inputNode(editorOf(node) ?? node, "background");
  return shownBy(linked, (node.faceBackdrop ??= {}));
}

// Boxes of other nodes are known when they have run: then the preview of that run is shown.
function resultOf(node) {
  return editorOf(node) === null ? shownBy(node, (node.faceResult ??= {})) : null;
}

// Boxes of Create Bounding Boxes as shares of its picture.
function editorBoxes(editor) {
  const [width, height] = ["width", "height"].map((name) => valueOf(editor, name));
  return (valueOf(editor, "editor_state") ?? []).map((box) => [
    box.x / width, box.y / height, (box.x + box.width) / width, (box.y + box.height) / height,
  ]);
}

function setEditorBoxes(editor, boxes) {
  const [width, height] = ["width", "height"].map((name) => valueOf(editor, name));
  const old = valueOf(editor, "editor_state") ?? [];
  const empty = { type: "obj", text: "", desc: "", palette: [] };
  const made = boxes.map(([x1, y1, x2, y2], index) => ({
    x: Math.round(x1 * width),
    y: Math.round(y1 * height),
    width: Math.round((x2 - x1) * width),
    height: Math.round((y2 - y1) * height),
    metadata: old[index]?.metadata ?? empty,
  }));
  setValue(editor, "editor_state", made);
}

function followSize(node) {
  const editor = editorOf(node);
  if (!editor || inputNode(node, "image") || inputNode(editor, "background")) return;
  const old = editorBoxes(editor);
  for (const name of ["width", "height"]) {
    if (inputNode(node, name) || inputNode(editor, name)) continue;
    setValue(editor, name, Math.max(64, Math.round(valueOf(node, name) / STEP) * STEP));
  }
  if (!modern()) setEditorBoxes(editor, old); // its own editor keeps the shares otherwise
}

function sourceOf(node) {
  const source = {
    size() {
      const backdrop = backdropOf(node);
      if (backdrop) return [backdrop.naturalWidth, backdrop.naturalHeight];
      return [valueOf(node, "width") || 1, valueOf(node, "height") || 1];
    },
    backdrop: () => backdropOf(node),
    result: () => resultOf(node),
    boxes() {
      const editor = editorOf(node);
      if (editor) return editorBoxes(editor);
      const corners = CORNERS.map((name) => valueOf(node, name));
      return editor === undefined && corners[2] > corners[0] && corners[3] > corners[1]
        ? [corners]
        : [];
    },
    filled([x1, y1, x2, y2]) {
      const more = ((valueOf(node, "grow") ?? 1) - 1) / 2;
      const [dx, dy] = [(x2 - x1) * more, (y2 - y1) * more];
      [x1, y1, x2, y2] = [x1 - dx, y1 - dy, x2 + dx, y2 + dy];
      if (!valueOf(node, "square")) return [x1, y1, x2, y2];
      const [width, height] = source.size();
      const side = Math.max((x2 - x1) * width, (y2 - y1) * height);
      return [x1, y1, x1 + side / width, y1 + side / height];
    },
    square: () => Boolean(valueOf(node, "square")),
    // The front end puts a new widget in its place when it draws the next time.
    resized: () => app.canvas?.setDirty(true, true),
    many: () => Boolean(editorOf(node)),
    hint() {
      const editor = editorOf(node);
      if (editor === null) return "The boxes come from another node.";
      return editor && modern() ? "Draw boxes in Create Bounding Boxes." : "Drag to draw a box.";
    },
    get change() {
      const editor = editorOf(node);
      if (editor === null || (editor && modern())) return undefined;
      if (editor) return (boxes) => setEditorBoxes(editor, boxes);
      return ([box = [0, 0, 0, 0]]) =>
        CORNERS.forEach((name, i) => setValue(node, name, Math.round(box[i] * 100) / 100));
    },
  };
  return source;
}

// Call `more` after what an object's function did before.
function after(object, name, more) {
  const before = object[name];
  object[name] = function (...given) {
    const result = before?.apply(this, given);
    more(...given);
    return result;
  };
}

function addCanvas(node) {
  const { canvas, redraw } = createBoxCanvas(sourceOf(node));
  const widget = node.addDOMWidget("box", "FLASHFACE_BOX", canvas, {
    serialize: false,
    getMinHeight: () => HEIGHT,
  });
  widget.serialize = false; // the numbers hold it
  const update = () => {
    followSize(node);
    redraw();
  };
  for (const own of node.widgets) if (own !== widget) after(own, "callback", update);
  for (const name of ["onConfigure", "onConnectionsChange", "onExecuted"]) {
    after(node, name, () => setTimeout(update));
  }
  node.redrawFaceBoxes = redraw;
  // Pictures of other nodes arrive without notice.
  let shown = "";
  const timer = setInterval(() => {
    const now = [backdropOf(node)?.src, resultOf(node)?.src].join();
    if (now !== shown) redraw();
    shown = now;
  }, PATIENCE);
  after(node, "onRemoved", () => clearInterval(timer));
  hidePreview(node);
}

// The canvas shows what the preview of the last run would show again.
function hidePreview(node) {
  node.hideOutputImages = true;
  after(node, "onDrawBackground", () => {
    const preview = widgetOf(node, "$$canvas-image-preview");
    if (preview && !preview.hidden) preview.hidden = true;
  });
}

// Face Regions that show the boxes of this node.
function regionsOf(editor) {
  const links = editor.outputs?.flatMap((output) => output.links ?? []) ?? [];
  const targets = links.map((id) => editor.graph.getNodeById(editor.graph.links.get(id)?.target_id));
  return targets.filter((node) => node?.comfyClass === REGION);
}

app.registerExtension({
  name: "FlashFace.FaceRegion",
  nodeCreated(node) {
    if (node.comfyClass === REGION) addCanvas(node);
    if (node.comfyClass === BOXES) {
      for (const widget of node.widgets ?? []) {
        after(widget, "callback", () => regionsOf(node).forEach((n) => n.redrawFaceBoxes?.()));
      }
    }
  },
});
