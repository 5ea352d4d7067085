// Conveniences only: every page does its work without this file.
(() => {
  "use strict";

  // A broad permission includes others. Ticking it ticks those; taking it back
  // takes back what it ticked, and never what the person ticked.
  const boxes = [...document.querySelectorAll('input[name="scope"]')];
  const covered = (box) => {
    const names = [...box.closest("li").querySelectorAll(".covers code")].map((name) => name.textContent);
    return boxes.filter((other) => other !== box && names.includes(other.value));
  };
  const ticked = new Map(); // box → the box that ticked it

  for (const box of boxes) {
    box.addEventListener("change", () => {
      ticked.delete(box);
      for (const other of covered(box)) {
        if (box.checked && !other.checked) {
          other.checked = true;
          ticked.set(other, box);
        } else if (!box.checked && ticked.get(other) === box) {
          other.checked = false;
          ticked.delete(other);
        }
      }
      if (box.checked) return;
      // While a broader one stays ticked, this one would be allowed all the same.
      for (const broad of boxes) {
        if (broad.checked && covered(broad).includes(box)) broad.checked = false;
      }
    });
  }

  // Copy buttons appear only where they can work.
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = button.dataset.copied;
      } catch {
        getSelection().selectAllChildren(source);
      }
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }
})();
