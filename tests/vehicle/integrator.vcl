-- The controller of models/double_integrator, used twice: true, and false.

@network
f : Tensor Real [1, 2] -> Tensor Real [1, 1]

inside : Tensor Real [1, 2] -> Bool
inside x = -1.0 <= x ! 0 ! 0 <= 1.0 and -0.5 <= x ! 0 ! 1 <= 0.5

@property
bounded : Bool
bounded = forall x1 x2 . inside x1 and inside x2 and x1 ! 0 ! 0 <= x2 ! 0 ! 0 and x1 ! 0 ! 1 == x2 ! 0 ! 1
  => f x1 ! 0 ! 0 >= f x2 ! 0 ! 0 - 0.25

@property
falling : Bool
falling = forall x1 x2 . inside x1 and inside x2 and x1 ! 0 ! 0 <= x2 ! 0 ! 0 and x1 ! 0 ! 1 == x2 ! 0 ! 1
  => f x1 ! 0 ! 0 >= f x2 ! 0 ! 0 + 0.25
