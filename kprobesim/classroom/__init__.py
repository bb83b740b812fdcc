"""A class that looks where the teacher looks: the teacher's place in a recording, told over the network.

What goes over the wire is a recording once and then positions of a few bytes; each follower lives the recording on a
machine of their own, and may leave the teacher, explore, and come back.

::

    leader = Leader()
    await leader.start("127.0.0.1", 0)
    leader.tell(Shared().look(lab))         # as often as the teacher moves

    follower = Follower(read_link(leader.link("127.0.0.1")), heard=print)
    await follower.run()
"""

from kprobesim.classroom.follower import Follower, Told
from kprobesim.classroom.leader import Crowd, Leader
from kprobesim.classroom.link import Link, read_link
from kprobesim.classroom.shared import Place, Shared, go_there
from kprobesim.classroom.wording import say

__all__ = ["Crowd", "Follower", "Leader", "Link", "Place", "Shared", "Told", "go_there", "read_link", "say"]
