"""The software renderer's first half: which triangle or strand a pixel shows, and geometry.

A visibility buffer: `depth` (larger is nearer) and `seen` (the number of a triangle, or of a
strand's piece after all triangles), both (H, W).
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled


@compiled
def draw_triangles(x, y, near, triangles, depth, seen):
    """Draw triangles (t, 3) of points at x, y (pixels) with `near` (larger is nearer)."""
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = x[a], y[a]
        bx, by, cx, cy = x[b] - ax, y[b] - ay, x[c] - ax, y[c] - ay
        area = bx * cy - cx * by
        if area == 0.0:
            continue
        left = max(0, int(np.floor(ax + min(0.0, bx, cx) - 0.5)))
        right = min(width - 1, int(np.ceil(ax + max(0.0, bx, cx) - 0.5)))
        top = max(0, int(np.floor(ay + min(0.0, by, cy) - 0.5)))
        bottom = min(height - 1, int(np.ceil(ay + max(0.0, by, cy) - 0.5)))
        scale = 1.0 / area
        na, nb, nc = near[a], near[b], near[c]
        for row in range(top, bottom + 1):
            py = row + 0.5 - ay
            for column in range(left, right + 1):
                px = column + 0.5 - ax
                v = (px * cy - cx * py) * scale
                w = (bx * py - px * by) * scale
                if v >= -1e-6 and w >= -1e-6 and v + w <= 1.0 + 1e-6:
                    n = na + v * (nb - na) + w * (nc - na)
                    if n > depth[row, column]:
                        depth[row, column] = n
                        seen[row, column] = t


@compiled
def draw_strands(x, y, near, points, half_width, depth, seen, first):
    """Draw strands of `points` points each as tapered lines; numbers begin at `first`."""
    height, width = depth.shape
    for s in range(half_width.shape[0]):
        for j in range(points - 1):
            p = s * points + j
            dx, dy, dn = x[p + 1] - x[p], y[p + 1] - y[p], near[p + 1] - near[p]
            steps = int(max(abs(dx), abs(dy))) + 1
            if steps > 4 * width:
                continue
            for i in range(steps):
                f = i / steps
                w = half_width[s] * (1.0 - 0.45 * (j + f) / (points - 1))
                px, py, n = x[p] + f * dx, y[p] + f * dy, near[p] + f * dn
                left, top = int(np.floor(px - w + 0.5)), int(np.floor(py - w + 0.5))
                right = max(left + 1, int(np.floor(px + w + 0.5)))
                bottom = max(top + 1, int(np.floor(py + w + 0.5)))
                for row in range(max(0, top), min(height, bottom)):
                    for column in range(max(0, left), min(width, right)):
                        if n > depth[row, column]:
                            depth[row, column] = n
                            seen[row, column] = first + p


@compiled
def normals(points, triangles):
    """Unit normals (n, 3) of points, weighted by the triangles' areas; zero where unused."""
    result = np.zeros_like(points)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = (
            points[b, 0] - points[a, 0],
            points[b, 1] - points[a, 1],
            points[b, 2] - points[a, 2],
        )
        vx, vy, vz = (
            points[c, 0] - points[a, 0],
            points[c, 1] - points[a, 1],
            points[c, 2] - points[a, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            result[i, 0] += nx
            result[i, 1] += ny
            result[i, 2] += nz
    for i in range(result.shape[0]):
        length = np.sqrt(result[i, 0] ** 2 + result[i, 1] ** 2 + result[i, 2] ** 2) + 1e-12
        for k in range(3):
            result[i, k] /= length
    return result


@compiled
def smoothed(values, triangles, times):
    """Values (n,) at points, averaged with their neighbours `times` times."""
    values = values.copy()
    for _ in range(times):
        total, weight = values.copy(), np.ones(values.shape[0])
        for t in range(triangles.shape[0]):
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            mean = values[a] + values[b] + values[c]
            for i in (a, b, c):
                total[i] += mean
                weight[i] += 3.0
        values = total / weight
    return values


@compiled
def seen_from(points, frame, centre, scale, size):
    """Points (n, 3) as a light sees them: x, y in a map of `size` pixels, and nearness; (3, n)."""
    result = np.empty((3, points.shape[0]))
    for i in range(points.shape[0]):
        x, y, z = points[i, 0] - centre[0], points[i, 1] - centre[1], points[i, 2] - centre[2]
        for k in range(3):
            result[k, i] = frame[k, 0] * x + frame[k, 1] * y + frame[k, 2] * z
        result[0, i] = 0.5 * size + scale * result[0, i]
        result[1, i] = 0.5 * size - scale * result[1, i]
    return result


@compiled
def add_openness(point_normals, frame, place, depth, bias, open_sum, weight_sum):
    """Add to every point whether a light in direction frame[2] reaches it (ambient occlusion)."""
    size = depth.shape[0]
    for i in range(point_normals.shape[0]):
        facing = (
            point_normals[i, 0] * frame[2, 0]
            + point_normals[i, 1] * frame[2, 1]
            + point_normals[i, 2] * frame[2, 2]
        )
        if facing > 0.05:
            column, row = int(place[0, i]), int(place[1, i])
            inside = 0 <= column < size and 0 <= row < size
            hidden = inside and depth[row, column] > place[2, i] + bias
            open_sum[i] += 0.0 if hidden else facing
            weight_sum[i] += facing


@compiled
def turned_between(points, low, high, pivot, share):
    """Points (n, 3) turned about `pivot`, by `low` where share is 0 and by `high` where it is 1."""
    result = np.empty_like(points)
    for i in range(points.shape[0]):
        x, y, z = points[i, 0] - pivot[0], points[i, 1] - pivot[1], points[i, 2] - pivot[2]
        for k in range(3):
            a = low[k, 0] * x + low[k, 1] * y + low[k, 2] * z
            b = high[k, 0] * x + high[k, 1] * y + high[k, 2] * z
            result[i, k] = pivot[k] + a + (b - a) * share[i]
    return result


@compiled
def averaged(image, times):
    """An image (H times, W times, C) at (H, W, C): the mean of times x times pixels."""
    height, width, channels = (
        image.shape[0] // times,
        image.shape[1] // times,
        image.shape[2],
    )
    result = np.zeros((height, width, channels))
    for row in range(height * times):
        for column in range(width * times):
            for k in range(channels):
                result[row // times, column // times, k] += image[row, column, k]
    return result / (times * times)


@compiled
def covered(seen, layers, of_strands, times):
    """Which part of every pixel (H, W, C) the layers of what is seen cover.

    `layers` (t, C) of triangles and `of_strands` (C,) are 0 or 1; `seen` is `times` finer.
    """
    height, width = seen.shape[0] // times, seen.shape[1] // times
    result = np.zeros((height, width, layers.shape[1]))
    for row in range(height * times):
        for column in range(width * times):
            t = seen[row, column]
            if t < 0:
                continue
            for k in range(layers.shape[1]):
                part = layers[t, k] if t < layers.shape[0] else of_strands[k]
                result[row // times, column // times, k] += part
    return result / (times * times)


def light_frame(direction: np.ndarray) -> np.ndarray:
    """Right, up and towards the light as rows, (3, 3)."""
    towards = direction / np.linalg.norm(direction)
    up = np.array([0, 1.0, 0]) if abs(towards[1]) < 0.95 else np.array([1.0, 0, 0])
    right = np.cross(up, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards])
