// Face Region shows its picture and lets its box be drawn with the mouse, in every node design.
//
// Only the numbers of the node are written, so saved workflows, old front ends and the API know
// nothing of this. With boxes from Create Bounding Boxes it shows those; where that node has no
// editor of its own (it needs Nodes 2.0), they are drawn here. That node's canvas follows the
// width and height given here, so that its boxes are pixels of the same picture.
import { app } from "../../scripts/app.js";
import { createBoxCanvas } from "./box_canvas.js";
import {
  after, hidePreview, inputNode, muted, say, setValue, shownBy, sizeOf, valueOf, watch,
} from "./nodes.js";

const REGION = "FlashFaceRegion";
const BOXES = "CreateBoundingBoxes";
const CORNERS = ["x1", "y1", "x2", "y2"];
const STEP = 16; // of width and height of Create Bounding Boxes
const HEIGHT = 150;
const [MUTED, BYPASSED] = [2, 4]; // modes of nodes

const modern = () => Boolean(window.LiteGraph?.vueNodesMode);

// The node whose boxes are shown; null for boxes of other nodes, undefined where none arrive.
function editorOf(node) {
  const slot = node.findInputSlot("bboxes");
  if (slot < 0 || !node.isInputConnected(slot)) return undefined;
  const source = node.getInputNode(slot);
  if (source?.mode === MUTED) return undefined;
  if (source?.comfyClass !== BOXES) return null;
  return source.mode === BYPASSED ? undefined : source;
}

// Whether a corner comes from another node, whatever the number here says.
function cornersLinked(node) {
  return (node.inputs ?? []).some((input) => CORNERS.includes(input.widget?.name) && input.link != null);
}

// The node whose picture `image` is; null where there is none, or where it does not run.
const imageOf = (node) => (muted(node, "image") ? null : inputNode(node, "image"));

function backdropOf(node) {
  const linked = imageOf(node) ?? inputNode(editorOf(node) ?? node, "background");
  return shownBy(linked, (node.faceBackdrop ??= {}));
}

// Boxes of other nodes are known when they have run: then the preview of that run is shown.
function resultOf(node) {
  return editorOf(node) === null ? shownBy(node, (node.faceResult ??= {})) : null;
}

// The picture whose pixels a run takes boxes for: that of `image`, else as large as the region.
// Null where this is not known here.
function pixelsOf(node) {
  if (imageOf(node)) {
    const picture = shownBy(imageOf(node), (node.faceBackdrop ??= {}));
    return picture && [picture.naturalWidth, picture.naturalHeight];
  }
  return inputNode(node, "width") || inputNode(node, "height") ? null : sizeOf(node);
}

// The size that an editor's boxes are shown and drawn in.
const unitOf = (node, editor) => pixelsOf(node) ?? sizeOf(editor);

// Boxes of Create Bounding Boxes as shares of a picture of this size.
function editorBoxes(editor, [width, height]) {
  return (valueOf(editor, "editor_state") ?? []).map((box) => [
    box.x / width, box.y / height, (box.x + box.width) / width, (box.y + box.height) / height,
  ]);
}

function setEditorBoxes(editor, boxes, [width, height]) {
  const old = valueOf(editor, "editor_state") ?? [];
  const empty = { type: "obj", text: "", desc: "", palette: [] };
  // One box fewer: what is said of those behind it moves up with them.
  const shown = editorBoxes(editor, [width, height]);
  const differs = (box, index) => box.join() !== boxes[index]?.join();
  const gone = boxes.length < old.length ? shown.findIndex(differs) : old.length;
  const made = boxes.map(([x1, y1, x2, y2], index) => ({
    x: Math.round(x1 * width),
    y: Math.round(y1 * height),
    width: Math.round((x2 - x1) * width),
    height: Math.round((y2 - y1) * height),
    metadata: old[index + (index >= gone ? 1 : 0)]?.metadata ?? empty,
  }));
  setValue(editor, "editor_state", made);
}

function followSize(node) {
  const editor = editorOf(node);
  const pixels = editor && pixelsOf(node);
  if (!pixels || inputNode(editor, "width") || inputNode(editor, "height")) return;
  const size = pixels.map((side) => Math.max(64, Math.round(side / STEP) * STEP));
  const before = sizeOf(editor);
  if (size.join() === before.join()) return;
  const old = editorBoxes(editor, before);
  ["width", "height"].forEach((name, index) => setValue(editor, name, size[index]));
  if (!modern()) setEditorBoxes(editor, old, pixels); // its own editor keeps the shares otherwise
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
      if (editor) return editorBoxes(editor, unitOf(node, editor));
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
      if (editor === null) return say("The boxes come from another node.", "边界框来自其他节点。");
      return editor && modern()
        ? say("Draw boxes in Create Bounding Boxes.", "请在「创建边界框」里画框。")
        : say("Drag to draw a box.", "拖动鼠标画框。");
    },
    get change() {
      const editor = editorOf(node);
      if (editor === null || (editor && modern())) return undefined;
      if (editor) return (boxes) => setEditorBoxes(editor, boxes, unitOf(node, editor));
      if (cornersLinked(node)) return undefined;
      return ([box = [0, 0, 0, 0]]) =>
        CORNERS.forEach((name, i) => setValue(node, name, Math.round(box[i] * 100) / 100));
    },
    // The front end takes notice, for undo and for keeping unsaved work.
    done() {
      app.canvas?.emitBeforeChange?.();
      app.canvas?.emitAfterChange?.();
    },
  };
  return source;
}

function addCanvas(node) {
  const { canvas, redraw } = createBoxCanvas(sourceOf(node));
  const widget = node.addDOMWidget("box", "FLASHFACE_BOX", canvas, {
    serialize: false,
    hideInPanel: true, // the side panel would write its own width into the widget, for good
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
  const seen = (there) => [backdropOf(there)?.src, resultOf(there)?.src, Boolean(imageOf(there))];
  watch(node, (there) => seen(there).join(), update);
  hidePreview(node);
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
