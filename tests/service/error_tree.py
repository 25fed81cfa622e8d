"""The tree of errors that the docstring of a module draws."""


def parents_drawn(docstring: str) -> dict[str, str]:
    """Return the name of each class in the tree, with that of its parent."""
    lines = docstring.splitlines()
    branches = [line for line in lines if "── " in line]
    path = [lines[lines.index(branches[0]) - 1].strip()]
    parents = {}
    for line in branches:
        before, _, after = line.partition("── ")
        path[len(before) // 4 + 1 :] = [after.split()[0]]
        parents[path[-1]] = path[-2]
    return parents
