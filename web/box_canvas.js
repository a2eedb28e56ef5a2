// A canvas on which boxes are drawn, moved and resized with the mouse, and removed by a double
// click. It knows no nodes: `source` says what to show and takes what was drawn.
//
//   source.size()          [width, height] of the picture, in any unit: its aspect ratio counts
//   source.backdrop()      an image to show darkened, or null
//   source.result()        an image to show instead of all this, or null
//   source.boxes()         [[x1, y1, x2, y2], ...] in shares of the picture
//   source.filled(box)     the part of the picture that counts for a box, in shares
//   source.square()        whether what is drawn is kept square
//   source.change(boxes)   takes new boxes; absent where nothing may be drawn
//   source.done()          called when a drag, or what else changed the boxes, is over
//   source.hint()          a line of text for a picture without boxes
//   source.resized()       called when the canvas has got another size
//   source.many()          whether there may be more than one box

const HANDLE = 9; // pixels around an edge that take hold of it
const SMALLEST = 0.01; // a box that is drawn smaller than this was a click
const COLORS = { picture: "#2a2d36", region: "#58d68355", outline: "#58d683", text: "#aab" };

const clamp = (value, low = 0, high = 1) => Math.min(Math.max(value, low), high);

export function createBoxCanvas(source) {
  const canvas = document.createElement("canvas");
  canvas.dataset.testid = "flashface-boxes";
  Object.assign(canvas.style, {
    width: "100%", height: "100%", display: "block",
    touchAction: "none", // or a finger would scroll instead
  });
  let drag = null;
  let queued = false;

  // Where the picture lies inside the canvas: left, top, width, height in canvas pixels.
  function frame() {
    const [width, height] = source.size();
    const scale = Math.min(canvas.clientWidth / width, canvas.clientHeight / height) || 1;
    const [w, h] = [width * scale, height * scale];
    return [(canvas.clientWidth - w) / 2, (canvas.clientHeight - h) / 2, w, h];
  }

  function draw() {
    queued = false;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, canvas.clientWidth * ratio);
    canvas.height = Math.max(1, canvas.clientHeight * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const result = source.result();
    if (result) {
      const scale = Math.min(
        canvas.clientWidth / result.naturalWidth, canvas.clientHeight / result.naturalHeight,
      );
      const [w, h] = [result.naturalWidth * scale, result.naturalHeight * scale];
      pen.drawImage(result, (canvas.clientWidth - w) / 2, (canvas.clientHeight - h) / 2, w, h);
      return;
    }
    const [left, top, width, height] = frame();
    pen.fillStyle = COLORS.picture;
    pen.fillRect(left, top, width, height);
    const backdrop = source.backdrop();
    if (backdrop) {
      pen.globalAlpha = 0.5;
      pen.drawImage(backdrop, left, top, width, height);
      pen.globalAlpha = 1;
    }
    const place = ([x1, y1, x2, y2]) => [
      left + x1 * width, top + y1 * height, (x2 - x1) * width, (y2 - y1) * height,
    ];
    const boxes = source.boxes();
    for (const box of boxes) {
      pen.fillStyle = COLORS.region;
      pen.fillRect(...place(source.filled(box).map((value) => clamp(value))));
      pen.strokeStyle = COLORS.outline;
      pen.lineWidth = 1.5;
      pen.strokeRect(...place(box));
    }
    if (!boxes.length) {
      pen.fillStyle = COLORS.text;
      pen.font = "12px sans-serif";
      pen.textAlign = "center";
      pen.fillText(source.hint(), left + width / 2, top + height / 2, width - 8);
    }
  }

  function redraw() {
    if (!queued) requestAnimationFrame(draw);
    queued = true;
  }

  // A pointer's place in shares of the picture, and how many shares a handle is wide and high.
  function pointer(event) {
    const bounds = canvas.getBoundingClientRect();
    const zoom = bounds.width / (canvas.clientWidth || 1) || 1;
    const [left, top, width, height] = frame();
    const x = ((event.clientX - bounds.left) / zoom - left) / width;
    const y = ((event.clientY - bounds.top) / zoom - top) / height;
    return { x, y, near: [HANDLE / zoom / width, HANDLE / zoom / height] };
  }

  // What a pointer takes hold of: the box's index, and which of its sides move (all: the box).
  function hit({ x, y, near }) {
    const boxes = source.boxes();
    for (let index = boxes.length - 1; index >= 0; index--) {
      const [x1, y1, x2, y2] = boxes[index];
      if (x < x1 - near[0] || x > x2 + near[0] || y < y1 - near[1] || y > y2 + near[1]) continue;
      const sides = [
        Math.abs(x - x1) < near[0], Math.abs(y - y1) < near[1],
        Math.abs(x - x2) < near[0], Math.abs(y - y2) < near[1],
      ];
      return { index, sides: sides.some(Boolean) ? sides : [true, true, true, true] };
    }
    return null;
  }

  function dragged(start, sides, dx, dy) {
    let [x1, y1, x2, y2] = start;
    if (sides.every(Boolean)) {
      dx = clamp(dx, -x1, 1 - x2);
      dy = clamp(dy, -y1, 1 - y2);
      return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
    }
    const moved = [x1 + dx * sides[0], y1 + dy * sides[1], x2 + dx * sides[2], y2 + dy * sides[3]];
    [x1, y1, x2, y2] = moved.map((value) => clamp(value));
    if (source.square()) [x1, y1, x2, y2] = squared([x1, y1, x2, y2], sides);
    return [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
  }

  // The box with equal sides in pixels that fits into the picture: as long as the side that an
  // edge moves, or the longer one of a corner's.
  function squared([x1, y1, x2, y2], sides) {
    const [width, height] = source.size();
    const [fixedX, fixedY] = [sides[0] ? x2 : x1, sides[1] ? y2 : y1];
    const [left, up] = [sides[0] ? x1 < x2 : x2 < x1, sides[1] ? y1 < y2 : y2 < y1];
    const room = Math.min((left ? fixedX : 1 - fixedX) * width, (up ? fixedY : 1 - fixedY) * height);
    const across = sides[0] || sides[2] ? Math.abs(x2 - x1) * width : 0;
    const down = sides[1] || sides[3] ? Math.abs(y2 - y1) * height : 0;
    const side = Math.min(Math.max(across, down), room);
    const [x, y] = [fixedX + (left ? -side : side) / width, fixedY + (up ? -side : side) / height];
    return [fixedX, fixedY, x, y];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !source.change) return;
    event.stopPropagation();
    event.preventDefault();
    const at = pointer(event);
    const boxes = source.boxes();
    let held = hit(at);
    if (!held) {
      const start = [clamp(at.x), clamp(at.y), clamp(at.x), clamp(at.y)];
      held = { index: source.many() ? boxes.length : 0, sides: [false, false, true, true] };
      drag = { ...held, at, start, before: boxes };
    } else drag = { ...held, at, start: boxes[held.index], before: boxes };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!source.change) return;
    const at = pointer(event);
    if (!drag) {
      const held = hit(at);
      const whole = held && held.sides.every(Boolean);
      canvas.style.cursor = !held ? "crosshair" : whole ? "move" : "nwse-resize";
      return;
    }
    event.stopPropagation();
    const box = dragged(drag.start, drag.sides, at.x - drag.at.x, at.y - drag.at.y);
    if (box[2] - box[0] < SMALLEST || box[3] - box[1] < SMALLEST) return;
    const boxes = [...drag.before];
    boxes[drag.index] = box;
    source.change(boxes);
    drag.changed = true;
    redraw();
  });
  const end = (event) => {
    if (!drag) return;
    event.stopPropagation();
    if (drag.changed) source.done();
    drag = null;
  };
  canvas.addEventListener("dblclick", (event) => {
    const held = source.change && hit(pointer(event));
    if (!held) return;
    event.stopPropagation();
    source.change(source.boxes().filter((_, index) => index !== held.index));
    source.done();
    redraw();
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  new ResizeObserver(() => {
    redraw();
    source.resized();
  }).observe(canvas);
  return { canvas, redraw };
}
