// Each button copies the text beside it; if the clipboard API is not available, the text is selected and copied.
for (const button of document.querySelectorAll("details button")) button.onclick = async () => {
  const text = button.nextElementSibling;
  try { await navigator.clipboard.writeText(text.textContent) }
  catch { getSelection().selectAllChildren(text); document.execCommand("copy") }
  button.textContent = "copied";
};
