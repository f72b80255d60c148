"""Records of scored images, as `idpatch_core.evaluate` saves them."""

GOOD = [[0.9, 0.1], [0.1, 0.7]]
SWAPPED = [[0.1, 0.9], [0.7, 0.1]]


def record(id, similarity, at_place, system="ours", **more):
    """Return a scored image; `similarity` holds for each person the cosines with all faces."""
    people = len(similarity)
    verdict = {"similarity": similarity, "face_indices": at_place}
    return {
        "key": id,
        "id": id,
        "system": system,
        "names": [f"person {i}" for i in range(people)],
        "placed": [True] * people,
        "seconds": None,
        "verdict": verdict,
        **more,
    }
