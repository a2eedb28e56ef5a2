// What a schedule is at a point of the sampling, as flashface_core/flashface/guidance.py has it.
// The core computes pictures; this draws before a run. A test holds the two together.

const LAST = 999; // timestep
const TOLERANCE = 1e-3;

// Python rounds halves to even numbers.
const rounded = (t) => (t % 1 === 0.5 ? 2 * Math.round(t / 2) : Math.round(t));

// The authors' timesteps, from noise to picture.
const timesteps = (steps) => Array.from({ length: steps }, (_, i) => LAST - (i * (LAST + 1)) / steps);

export function strengthAt(schedule, percent, launched) {
  const own = launched ? schedule.strength : schedule.strength_before_launch;
  return own * (schedule.strengthCurve?.(percent) ?? 1);
}

export function guidanceAt(schedule, percent, launched) {
  if (!launched) return 0;
  return schedule.reference_guidance * (schedule.guidanceCurve?.(percent) ?? 1);
}

// UNet predictions of a picture with one reference: three where the person is guided, else two.
export function evaluations(schedule, steps) {
  const launch = schedule.launch_percent;
  let total = 0;
  for (const timestep of timesteps(steps)) {
    const launched = launch < 1 && timestep <= (1 - launch) * LAST + TOLERANCE;
    const percent = 1 - rounded(timestep) / LAST;
    const guided = guidanceAt(schedule, percent, launched) && strengthAt(schedule, percent, launched);
    total += guided ? 3 : 2;
  }
  return total;
}

// A Curve Editor's curve as a function: straight lines, or monotone cubics (Fritsch and Carlson).
export function curveOf({ points, interpolation }) {
  const [xs, ys] = sortedColumns(points);
  const last = xs.length - 1;
  const slopes = interpolation === "linear" ? null : monotoneSlopes(xs, ys);
  return (x) => {
    if (x <= xs[0]) return ys[0];
    if (x >= xs[last]) return ys[last];
    const i = xs.findIndex((right) => x <= right) - 1;
    const width = xs[i + 1] - xs[i];
    const t = width ? (x - xs[i]) / width : 0;
    if (!slopes) return ys[i] + t * (ys[i + 1] - ys[i]);
    const [t2, t3] = [t * t, t * t * t];
    return (
      (2 * t3 - 3 * t2 + 1) * ys[i] + (t3 - 2 * t2 + t) * width * slopes[i] +
      (3 * t2 - 2 * t3) * ys[i + 1] + (t3 - t2) * width * slopes[i + 1]
    );
  };
}

function sortedColumns(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  return [sorted.map(([x]) => x), sorted.map(([, y]) => y)];
}

function monotoneSlopes(xs, ys) {
  const secants = xs.slice(1).map((x, i) => (x > xs[i] ? (ys[i + 1] - ys[i]) / (x - xs[i]) : 0));
  if (!secants.length) return [0];
  const slopes = xs.map((_, i) => {
    const [left, right] = [secants[i - 1] ?? secants[i], secants[i] ?? secants[i - 1]];
    if (i > 0 && i < secants.length && left * right <= 0) return 0;
    return (left + right) / 2;
  });
  secants.forEach((secant, i) => {
    if (secant === 0) return ([slopes[i], slopes[i + 1]] = [0, 0]);
    const length = Math.hypot(slopes[i], slopes[i + 1]) / Math.abs(secant);
    if (length > 3) for (const j of [i, i + 1]) slopes[j] *= 3 / length;
  });
  return slopes;
}
