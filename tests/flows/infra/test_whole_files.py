"""Two who write the same file at once."""

import threading

from flows.infra.whole_files import write_whole


def test_whoever_reads_sees_one_of_the_texts_whole_and_no_writer_fails(tmp_path):
    path, problems = tmp_path / "file", []
    texts = [bytes([65 + n]) * 200_000 for n in range(4)]
    write_whole(path, texts[0])

    def write(text):
        try:
            for _ in range(60):
                write_whole(path, text)
        except OSError as error:
            problems.append(error)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for each in writers:
        each.start()
    while any(each.is_alive() for each in writers):
        assert path.read_bytes() in texts
    assert problems == [] and list(tmp_path.iterdir()) == [path]
