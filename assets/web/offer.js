// A box to which files are offered, which the server checks. Its parts and its marks carry the classes of `mark`.
// offering(root, mark, { limit_bytes, smaller: what to give when that is too much, most: files at a time, fail(text), put(files),
// said(text): while they travel }) makes its buttons and the dropping work, and gives offer(files).
function offering(root, mark, { limit_bytes, smaller, most = 1, fail, put, said = () => {} }) {
  const file = root.querySelector(`.${mark}-file`);

  async function offer(files) {
    const chosen = [...files].slice(0, most), bytes = chosen.reduce((sum, { size }) => sum + size, 0);
    if (!chosen.length) return;
    fail("");
    if (bytes > limit_bytes) {
      fail(`The file${chosen.length > 1 ? "s have" : " has"} ${(bytes / 1e6).toFixed(1)} MB. The limit is ${Math.round(limit_bytes / 1e6)} MB. Please ${smaller}.`);
      return;
    }
    root.classList.add(`${mark}-busy`);
    said("Sending and reading the file.");
    try {
      const sent = [];
      for (const one of chosen) { const { path, url } = await upload(one); sent.push({ path, url, meta: { _type: "gradio.FileData" } }); }
      put(sent);
      trigger("upload");
    } catch {
      root.classList.remove(`${mark}-busy`);
      said("");
      fail(`The file${chosen.length > 1 ? "s" : ""} could not be sent. Please check the connection and try again.`);
    }
  }

  for (const button of root.querySelectorAll(`.${mark}-choose, .${mark}-replace`)) button.addEventListener("click", () => { file.value = ""; file.click(); });
  file.addEventListener("change", () => offer(file.files));
  root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add(`${mark}-over`); });
  root.addEventListener("dragleave", () => root.classList.remove(`${mark}-over`));
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove(`${mark}-over`);
    offer(event.dataTransfer.files);
  });
  return offer;
}
