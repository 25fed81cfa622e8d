from typing import ClassVar

import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.engine.queue import Buckets, Job

PIXELS = 16 * 16


class Net(TransformNet):
    multiple: ClassVar[int] = 4

    def transform(self, pictures: Tensor) -> Tensor:
        return pictures


def job(net: TransformNet, height: int = 16, width: int = 16) -> Job:
    return Job(net, torch.zeros(height, width, 3, dtype=torch.uint8))


def filled(*jobs: Job) -> Buckets:
    buckets = Buckets()
    for each in jobs:
        buckets.add(each)
    return buckets


def take_all_batches(buckets: Buckets, max_batch: int = 16, max_pixels: int = 10**9) -> list[list[Job]]:
    batches = []
    while buckets:
        batches.append(buckets.take(max_batch, max_pixels))
    return batches


def test_only_pictures_of_one_net_and_one_padded_size_make_a_batch() -> None:
    a, b = Net(), Net()
    first, other_net, other_size, same = job(a, 15, 16), job(b), job(a, 20), job(a, 16, 13)
    assert take_all_batches(filled(first, other_net, other_size, same)) == [[first, same], [other_net], [other_size]]


def test_it_tells_how_many_wait() -> None:
    buckets = filled(job(Net()), job(Net()))
    assert len(buckets) == 2
    buckets.take(1, PIXELS)
    assert len(buckets) == 1
    assert len(buckets.take_all()) == 1
    assert not buckets


def test_a_single_picture_may_have_more_pixels_than_a_batch() -> None:
    net = Net()
    jobs = [job(net) for _ in range(3)]
    assert take_all_batches(filled(*jobs), max_pixels=1) == [[each] for each in jobs]
    assert take_all_batches(filled(*jobs), max_pixels=2 * PIXELS) == [jobs[:2], jobs[2:]]


def test_a_batch_has_no_more_pictures_than_memory_holds() -> None:
    net = Net()
    jobs = [job(net) for _ in range(5)]
    buckets = filled(*jobs)
    assert buckets.take(16, 10**9, 3 * jobs[0].bytes - 1) == jobs[:2]
    assert buckets.take(16, 10**9, 10**9) == jobs[2:]


def test_nothing_overtakes_a_picture_that_waits_for_memory() -> None:
    net, other = Net(), Net()
    large, small, of_other = job(net, 64, 64), job(net), job(other)
    buckets = filled(large, small, of_other)
    assert buckets.head is large
    assert buckets.take(16, 10**9, large.bytes - 1) == []
    assert len(buckets) == 3
    assert buckets.take(16, 10**9, large.bytes) == [large]


def test_a_cancelled_picture_comes_out_however_little_memory_there_is() -> None:
    net = Net()
    jobs = [job(net) for _ in range(3)]
    jobs[0].future.cancel()
    assert filled(*jobs).take(16, 10**9, 0) == jobs[:1]


def test_cancelled_pictures_come_out_but_take_no_room() -> None:
    net = Net()
    jobs = [job(net) for _ in range(4)]
    jobs[0].future.cancel()
    assert take_all_batches(filled(*jobs), max_batch=2) == [jobs[:3], jobs[3:]]


def test_nets_get_the_same_number_of_pixels_however_many_pictures_wait_for_each() -> None:
    a, b = Net(), Net()
    large = [job(a, 32, 32) for _ in range(3)]
    small = [job(b) for _ in range(12)]
    taken = take_all_batches(filled(*large, *small), max_batch=1)
    pixels_of_a = [sum(each.output_pixels for [each] in taken[:n] if each.net is a) for n in range(len(taken))]
    pixels_of_b = [sum(each.output_pixels for [each] in taken[:n] if each.net is b) for n in range(len(taken))]
    assert max(abs(x - y) for x, y in zip(pixels_of_a[:13], pixels_of_b[:13], strict=True)) <= 4 * PIXELS


def test_a_net_does_not_save_up_while_nothing_waits_for_it() -> None:
    a, b = Net(), Net()
    buckets = filled(*(job(a) for _ in range(20)))
    for _ in range(10):
        buckets.take(1, PIXELS)
    for _ in range(10):
        buckets.add(job(b))
    next_six = [buckets.take(1, PIXELS)[0].net for _ in range(6)]
    assert next_six.count(b) == 3
