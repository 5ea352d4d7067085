// Passkeys are what browsers offer to scripts alone. Without this file their
// forms stay hidden, and everything else works.
(() => {
  "use strict";

  const able = window.PublicKeyCredential && PublicKeyCredential.parseCreationOptionsFromJSON &&
    PublicKeyCredential.parseRequestOptionsFromJSON;
  if (!able) return;

  const ceremonies = {
    create: (ask) => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(ask) }),
    get: (ask) => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(ask) }),
  };
  const reasons = { InvalidStateError: "known", NotAllowedError: "cancelled" };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    const button = form.querySelector("button");
    const problem = form.querySelector("[role=alert]");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      problem.hidden = button.disabled = true;
      try {
        const credential = await ceremonies[form.dataset.passkey](JSON.parse(form.dataset.ask));
        form.elements.passkey.value = JSON.stringify(credential);
        form.submit();
      } catch (err) {
        problem.querySelector("p").textContent = problem.dataset[reasons[err.name] || "failed"];
        problem.hidden = button.disabled = false;
      }
    });
  }
})();
