// The way of all teeth in one arrangement. teethTrack({ title, count, staged, poses }, teeth, origin) adds at(share), the poses at a
// part of the way from 0 to 1, and totals, how far each tooth goes in all: { mm, deg }. poses: base64 int16 (count, teeth, 7),
// quaternion x, y, z, w in 1/32767 and centre in 1/250 mm from the origin.
function teethTrack(entry, teeth, origin) {
  const PLACE = 1 / 250, TURN = 1 / 32767, WIDTH = 7;
  const poses = new Int16Array(Uint8Array.from(atob(entry.poses), (letter) => letter.charCodeAt(0)).buffer);
  const length = (v) => Math.hypot(...v), part = (start, from, to) => Array.from(poses.subarray(start + from, start + to));

  // Rotation (three rows) and centre of a tooth between two poses: along the shorter of the two arcs, at an even speed.
  function between(first, second, share) {
    const q = part(first, 0, 4), p = part(second, 0, 4), dot = q.reduce((sum, n, k) => sum + n * p[k], 0) / length(q) / length(p);
    const angle = Math.acos(Math.min(1, Math.abs(dot))), sine = Math.sin(angle), sign = dot < 0 ? -1 : 1;
    const [one, two] = sine < 1e-4 ? [1 - share, share] : [Math.sin((1 - share) * angle) / sine, Math.sin(share * angle) / sine];
    const mixed = q.map((n, k) => one * n + two * sign * p[k]), size = length(mixed), [x, y, z, w] = mixed.map((n) => n / size);
    const from = part(first, 4, WIDTH), to = part(second, 4, WIDTH), centre = from.map((n, k) => (n + (to[k] - n) * share) * PLACE + origin[k]);
    return [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
      2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), ...centre];
  }

  const start = (frame, tooth) => WIDTH * (frame * teeth + tooth), all = Array.from({ length: teeth }, (_, tooth) => tooth);
  function at(share) {
    const place = share * (entry.count - 1), first = Math.min(Math.floor(place), Math.max(0, entry.count - 2)), second = Math.min(first + 1, entry.count - 1);
    return all.map((tooth) => between(start(first, tooth), start(second, tooth), place - first));
  }
  const totals = all.map((tooth) => {
    const [first, last] = [0, entry.count - 1].map((frame) => part(start(frame, tooth), 0, WIDTH));
    return { mm: length([4, 5, 6].map((k) => (last[k] - first[k]) * PLACE)), deg: 2 * Math.acos(Math.min(1, Math.abs(last[3] * TURN))) * 180 / Math.PI };
  });
  return { ...entry, at, totals };
}
