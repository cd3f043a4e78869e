// Shaded teeth on a plain canvas: triangles through a depth buffer, lit at their corners. Parallel rays, as in the
// photographs that orthodontists compare, so that lengths in one picture are comparable. After pixels.js.
const paintTeeth = (() => {
  const MM = 1 / 1000, MAIN = [-0.32, 0.5, 0.805], SIDE = [0.72, -0.1, 0.69], HALF = [-0.17, 0.265, 0.949];
  const IVORY = [252, 246, 233], NECK = [238, 218, 184], INSIDE = 0.34, MARGIN_MM = 8;
  const bytes = (text) => base64Bytes(text).buffer;

  // The teeth that Python packed. Each: { fdi, upper, centre, vertices, normals, faces, paint: rgb of each vertex }.
  function read(value) {
    const vertices = new Int16Array(bytes(value.vertices)), normals = new Int8Array(bytes(value.normals)), faces = new Uint16Array(bytes(value.faces));
    let v = 0, f = 0;
    const teeth = value.fdi.map((fdi, i) => {
      const [count, triangles] = value.sizes[i];
      const tooth = { fdi, upper: fdi < 30, centre: value.centres[i], up: value.ups[i], open: value.open[i],
        vertices: Float32Array.from(vertices.subarray(3 * v, 3 * (v + count)), (n) => n * MM),
        normals: Float32Array.from(normals.subarray(3 * v, 3 * (v + count)), (n) => n / 127), faces: faces.subarray(3 * f, 3 * (f + triangles)) };
      v += count; f += triangles;
      tooth.ivory = natural(tooth);
      return tooth;
    });
    const middle = [0, 1, 2].map((k) => { const at = teeth.map(({ centre }) => centre[k]); return (Math.min(...at) + Math.max(...at)) / 2; });
    return { teeth, middle, poses: teeth.map(({ centre }) => [1, 0, 0, 0, 1, 0, 0, 0, 1, ...centre]) };
  }

  // Enamel is lighter where it is thick; at the neck the yellower dentine shows through.
  function natural({ vertices, up }) {
    const rgb = new Float32Array(vertices.length), height = (i) => vertices[i] * up[0] + vertices[i + 1] * up[1] + vertices[i + 2] * up[2];
    let low = Infinity, high = -Infinity;
    for (let i = 0; i < vertices.length; i += 3) { low = Math.min(low, height(i)); high = Math.max(high, height(i)); }
    for (let i = 0; i < vertices.length; i += 3) {
      const part = Math.min(1, Math.max(0, (height(i) - low) / Math.max(high - low, 1e-6) / 0.55)), share = part * part * (3 - 2 * part);
      for (let c = 0; c < 3; c++) rgb[i + c] = NECK[c] + (IVORY[c] - NECK[c]) * share;
    }
    return rgb;
  }

  function layers(size) {
    const layer = () => ({ ids: new Uint8Array(size), depth: new Float32Array(size) });
    return { front: layer(), ghost: layer() };
  }

  // The turn from the jaws' frame to the picture's: right, up, to the viewer.
  function turned({ yaw, pitch }) {
    const cy = Math.cos(yaw), sy = Math.sin(yaw), cp = Math.cos(pitch), sp = Math.sin(pitch);
    return [cy, 0, -sy, -sy * sp, cp, -cy * sp, sy * cp, sp, cy * cp];
  }
  function product(a, b) {
    const out = new Array(9);
    for (let i = 0; i < 3; i++) for (let k = 0; k < 3; k++) out[3 * i + k] = a[3 * i] * b[k] + a[3 * i + 1] * b[3 + k] + a[3 * i + 2] * b[6 + k];
    return out;
  }

  // Half the width and height in mm, with a margin, that these teeth take in the picture from this side.
  function extent(scene, poses, shown, camera) {
    const turn = turned(camera), far = [12, 12], m = scene.middle;
    scene.teeth.forEach((tooth, i) => {
      if (!shown(tooth)) return;
      const p = poses[i].slice(9).map((n, k) => n - m[k]);
      for (const k of [0, 1]) far[k] = Math.max(far[k], MARGIN_MM + Math.abs(turn[3 * k] * p[0] + turn[3 * k + 1] * p[1] + turn[3 * k + 2] * p[2]));
    });
    return far;
  }

  // Where a point of the jaws' frame is in the picture, in pixels of a sheet of this width and height.
  function projector(scene, camera, width, height) {
    const turn = turned(camera), unit = camera.zoom * Math.min(width / 2 / camera.wide, height / 2 / camera.high), m = scene.middle;
    return { turn, unit, at: (p) => {
      const x = p[0] - m[0], y = p[1] - m[1], z = p[2] - m[2];
      return [width / 2 + unit * (turn[0] * x + turn[1] * y + turn[2] * z), height / 2 - unit * (turn[3] * x + turn[4] * y + turn[5] * z), turn[6] * x + turn[7] * y + turn[8] * z];
    } };
  }

  let spot = new Float32Array(0);

  // Corners of a tooth as pixels, height, and lit red, green, blue.
  function placed(tooth, pose, rgb, view, shine) {
    const { vertices, normals } = tooth, count = vertices.length / 3, m = product(view.turn, pose), { unit } = view, [left, top, high] = view.at(pose.slice(9));
    if (spot.length < 6 * count) spot = new Float32Array(6 * count);
    for (let i = 0, o = 0, v = 0; i < count; i++, o += 6, v += 3) {
      const x = vertices[v], y = vertices[v + 1], z = vertices[v + 2];
      spot[o] = left + unit * (m[0] * x + m[1] * y + m[2] * z);
      spot[o + 1] = top - unit * (m[3] * x + m[4] * y + m[5] * z);
      spot[o + 2] = high + m[6] * x + m[7] * y + m[8] * z;
      if (!rgb) continue;
      const p = normals[v], q = normals[v + 1], r = normals[v + 2];
      const a = m[0] * p + m[1] * q + m[2] * r, b = m[3] * p + m[4] * q + m[5] * r, c = m[6] * p + m[7] * q + m[8] * r;
      const main = a * MAIN[0] + b * MAIN[1] + c * MAIN[2], side = a * SIDE[0] + b * SIDE[1] + c * SIDE[2], half = a * HALF[0] + b * HALF[1] + c * HALF[2];
      const light = 0.45 + 0.05 * b + 0.5 * Math.max(0, main) + 0.16 * Math.max(0, side), gloss = half > 0 ? shine * half ** 60 : 0;
      spot[o + 3] = Math.min(255, rgb[v] * light + gloss);
      spot[o + 4] = Math.min(255, rgb[v + 1] * light + gloss);
      spot[o + 5] = Math.min(255, rgb[v + 2] * light + gloss);
    }
  }

  // Fill the triangles of `spot`; without colours only ids and depth.
  function fill(tooth, id, kept, layer, coloured) {
    const { faces } = tooth, { width, height, pixels } = kept, { ids, depth } = layer;
    for (let i = 0; i < faces.length; i += 3) {
      const a = 6 * faces[i], b = 6 * faces[i + 1], c = 6 * faces[i + 2];
      const ax = spot[a], ay = spot[a + 1], bx = spot[b], by = spot[b + 1], cx = spot[c], cy = spot[c + 1];
      const area = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay), behind = area < 0;
      if (!area || (behind && !tooth.open)) continue;
      const left = Math.max(0, Math.ceil(Math.min(ax, bx, cx) - 0.5)), right = Math.min(width - 1, Math.floor(Math.max(ax, bx, cx) - 0.5));
      const top = Math.max(0, Math.ceil(Math.min(ay, by, cy) - 0.5)), bottom = Math.min(height - 1, Math.floor(Math.max(ay, by, cy) - 0.5));
      if (left > right || top > bottom) continue;
      // Shares of the corners b and c change evenly along rows and columns, and so does all that is shaded with them.
      const ub = -(cy - ay) / area, vb = (cx - ax) / area, uc = (by - ay) / area, vc = -(bx - ax) / area;
      const db = spot[b + 2] - spot[a + 2], dc = spot[c + 2] - spot[a + 2], dim = behind ? INSIDE : 1;
      const r0 = spot[a + 3] * dim, g0 = spot[a + 4] * dim, b0 = spot[a + 5] * dim;
      const rb = spot[b + 3] * dim - r0, gb = spot[b + 4] * dim - g0, bb = spot[b + 5] * dim - b0, rc = spot[c + 3] * dim - r0, gc = spot[c + 4] * dim - g0, bc = spot[c + 5] * dim - b0;
      let sb = ub * (left + 0.5 - ax) + vb * (top + 0.5 - ay), sc = uc * (left + 0.5 - ax) + vc * (top + 0.5 - ay);
      for (let y = top; y <= bottom; y++, sb += vb, sc += vc) {
        for (let x = left, at = y * width + left, tb = sb, tc = sc; x <= right; x++, at++, tb += ub, tc += uc) {
          if (tb < 0 || tc < 0 || tb + tc > 1) continue;
          const z = spot[a + 2] + tb * db + tc * dc;
          if (z <= depth[at]) continue;
          depth[at] = z;
          ids[at] = id;
          if (coloured) pixels[at] = 0xff000000 | (b0 + tb * bb + tc * bc) << 16 | (g0 + tb * gb + tc * gc) << 8 | (r0 + tb * rb + tc * rc);
        }
      }
    }
  }

  const mixed = (pixel, [r, g, b], share) => {
    const over = (from, to) => from + (to - from) * share | 0;
    return 0xff000000 | over(pixel >> 16 & 255, b) << 16 | over(pixel >> 8 & 255, g) << 8 | over(pixel & 255, r);
  };

  // A soft line where one tooth ends and another stands behind it, and a bright one around the chosen tooth.
  function outlined(kept, chosen, look) {
    const { width, height, pixels } = kept, { ids, depth } = kept.front, size = width * height;
    for (let at = width; at < size - width; at++) {
      const id = ids[at];
      if (!id) continue;
      const r = ids[at + 1], d = ids[at + width], l = ids[at - 1], u = ids[at - width];
      if (r === id && d === id && l === id && u === id) continue;
      if (id === chosen) { pixels[at] = mixed(pixels[at], look.accent, 1); continue; }
      const z = depth[at];
      const hidden = (r && r !== id && depth[at + 1] > z) || (d && d !== id && depth[at + width] > z) || (l && l !== id && depth[at - 1] > z) || (u && u !== id && depth[at - width] > z);
      if (hidden) pixels[at] = mixed(pixels[at], [40, 34, 30], 0.5);
    }
    if (!chosen) return;
    for (let y = 2; y < height - 2; y++) for (let x = 2; x < width - 2; x++) {
      const at = y * width + x;
      if (ids[at] !== chosen && (ids[at + 1] === chosen || ids[at - 1] === chosen || ids[at + width] === chosen || ids[at - width] === chosen || ids[at + 2] === chosen || ids[at - 2] === chosen || ids[at + 2 * width] === chosen || ids[at - 2 * width] === chosen))
        pixels[at] = pixels[at] ? mixed(pixels[at], look.accent, 1) : 0xff000000 | look.accent[2] << 16 | look.accent[1] << 8 | look.accent[0];
    }
  }

  // The outline of where teeth were, over everything.
  function ghosted(kept, look) {
    const { width, height, pixels } = kept, { ids } = kept.ghost, [r, g, b] = look.ghost, plain = 0xff000000 | b << 16 | g << 8 | r;
    for (let at = 0; at < width * (height - 2) - 2; at++) {
      if (ids[at] === ids[at + 1] && ids[at] === ids[at + width] && ids[at] === ids[at + 2] && ids[at] === ids[at + 2 * width]) continue;
      pixels[at] = pixels[at] ? mixed(pixels[at], look.ghost, 0.8) : plain;
    }
  }

  // Draw. what: { shown(tooth), paint(tooth) -> rgb of each vertex, shine, ghost: poses or null, chosen: index or -1 }.
  // Gives how to project points onto the canvas, in its CSS pixels, and which tooth is at a place there.
  function paint(canvas, scene, poses, camera, look, what, scale) {
    const kept = pixelSheet(canvas, scale, layers);
    if (!kept) return null;
    const view = projector(scene, camera, kept.width, kept.height);
    for (const layer of what.ghost ? [kept.front, kept.ghost] : [kept.front]) { layer.ids.fill(0); layer.depth.fill(-Infinity); }
    scene.teeth.forEach((tooth, i) => {
      if (!what.shown(tooth)) return;
      placed(tooth, poses[i], what.paint(tooth, i), view, what.shine);
      fill(tooth, i + 1, kept, kept.front, true);
      if (!what.ghost) return;
      placed(tooth, what.ghost[i], null, view, 0);
      fill(tooth, i + 1, kept, kept.ghost, false);
    });
    outlined(kept, what.chosen + 1, look);
    if (what.ghost) ghosted(kept, look);
    kept.context.putImageData(kept.image, 0, 0);
    const { front, width, height } = kept;
    const place = (x, y) => Math.round(y * scale) * width + Math.round(x * scale);
    return { turn: view.turn, at: (point) => { const [x, y, z] = view.at(point); return [x / scale, y / scale, z]; },
      tooth: (x, y) => (x < 0 || y < 0 || x * scale >= width || y * scale >= height - 1 ? -1 : front.ids[place(x, y)] - 1),
      depth: (x, y) => (x < 0 || y < 0 || x * scale >= width || y * scale >= height - 1 ? -Infinity : front.depth[place(x, y)]) };
  }
  return { read, paint, extent };
})();
