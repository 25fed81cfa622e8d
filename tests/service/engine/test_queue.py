from typing import ClassVar

import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.engine.queue import Buckets, QueuedPicture

PIXELS = 16 * 16


class Net(TransformNet):
    multiple: ClassVar[int] = 4

    def transform(self, pictures: Tensor) -> Tensor:
        return pictures


def queued(net: TransformNet, height: int = 16, width: int = 16) -> QueuedPicture:
    return QueuedPicture(net, torch.zeros(height, width, 3, dtype=torch.uint8))


def filled(*pictures: QueuedPicture) -> Buckets:
    buckets = Buckets()
    for each in pictures:
        buckets.add(each)
    return buckets


def take_all_batches(buckets: Buckets, max_batch: int = 16, max_pixels: int = 10**9) -> list[list[QueuedPicture]]:
    batches = []
    while buckets:
        batches.append(buckets.take(max_batch, max_pixels))
    return batches


def test_only_pictures_of_one_net_and_one_padded_size_make_a_batch() -> None:
    a, b = Net(), Net()
    first, other_net, other_size, same = queued(a, 15, 16), queued(b), queued(a, 20), queued(a, 16, 13)
    assert take_all_batches(filled(first, other_net, other_size, same)) == [[first, same], [other_net], [other_size]]


def test_its_length_is_the_number_of_pictures_that_wait() -> None:
    buckets = filled(queued(Net()), queued(Net()))
    assert len(buckets) == 2
    buckets.take(1, PIXELS)
    assert len(buckets) == 1
    assert len(buckets.take_all()) == 1
    assert not buckets


def test_a_single_picture_may_have_more_pixels_than_a_batch() -> None:
    net = Net()
    pictures = [queued(net) for _ in range(3)]
    assert take_all_batches(filled(*pictures), max_pixels=1) == [[each] for each in pictures]
    assert take_all_batches(filled(*pictures), max_pixels=2 * PIXELS) == [pictures[:2], pictures[2:]]


def test_a_batch_has_no_more_pictures_than_memory_holds() -> None:
    net = Net()
    pictures = [queued(net) for _ in range(5)]
    buckets = filled(*pictures)
    assert buckets.take(16, 10**9, 3 * pictures[0].bytes - 1) == pictures[:2]
    assert buckets.take(16, 10**9, 10**9) == pictures[2:]


def test_nothing_overtakes_a_picture_that_waits_for_memory() -> None:
    net, other = Net(), Net()
    large, small, of_other = queued(net, 64, 64), queued(net), queued(other)
    buckets = filled(large, small, of_other)
    assert buckets.head is large
    assert buckets.take(16, 10**9, large.bytes - 1) == []
    assert len(buckets) == 3
    assert buckets.take(16, 10**9, large.bytes) == [large]


def test_a_cancelled_picture_is_taken_however_little_memory_is_left() -> None:
    net = Net()
    pictures = [queued(net) for _ in range(3)]
    pictures[0].future.cancel()
    assert filled(*pictures).take(16, 10**9, 0) == pictures[:1]


def test_cancelled_pictures_are_taken_as_well_but_fill_no_room() -> None:
    net = Net()
    pictures = [queued(net) for _ in range(4)]
    pictures[0].future.cancel()
    assert take_all_batches(filled(*pictures), max_batch=2) == [pictures[:3], pictures[3:]]


def test_cancelled_pictures_can_be_taken_before_their_turn() -> None:
    a, b = Net(), Net()
    pictures = [queued(a), queued(a), queued(a, 20), queued(b)]
    buckets = filled(*pictures)
    for each in pictures[1:]:
        each.future.cancel()
    assert buckets.take_cancelled() == pictures[1:]
    assert take_all_batches(buckets) == [pictures[:1]]
    assert buckets.take_cancelled() == []


def test_nets_get_the_same_number_of_pixels_however_many_pictures_wait_for_each() -> None:
    a, b = Net(), Net()
    large = [queued(a, 32, 32) for _ in range(3)]
    small = [queued(b) for _ in range(12)]
    taken = take_all_batches(filled(*large, *small), max_batch=1)
    pixels_of_a = [sum(each.output_pixels for [each] in taken[:n] if each.net is a) for n in range(len(taken))]
    pixels_of_b = [sum(each.output_pixels for [each] in taken[:n] if each.net is b) for n in range(len(taken))]
    assert max(abs(x - y) for x, y in zip(pixels_of_a[:13], pixels_of_b[:13], strict=True)) <= 4 * PIXELS


def test_a_net_saves_up_no_share_of_the_device_while_nothing_waits_for_it() -> None:
    a, b = Net(), Net()
    buckets = filled(*(queued(a) for _ in range(20)))
    for _ in range(10):
        buckets.take(1, PIXELS)
    for _ in range(10):
        buckets.add(queued(b))
    next_six = [buckets.take(1, PIXELS)[0].net for _ in range(6)]
    assert next_six.count(b) == 3
