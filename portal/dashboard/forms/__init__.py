"""Forms of the pages. They parse text; the verbs decide what is right, and their Problems come
back to the fields they point at."""
